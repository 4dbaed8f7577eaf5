#pragma once

#include <fedwatt/fedwatt.h>

#include <cstdint>
#include <string>

namespace fedwatt {

enum class LogLevel {
  kDebug = FEDWATT_DEBUG,
  kInfo = FEDWATT_INFO,
  kWarning = FEDWATT_WARNING,
  kError = FEDWATT_ERROR,
};

// The fields of fedwatt_event, by the same names. Pointers are valid during the call.
using Event = fedwatt_event;

// What the client says, and where its log goes. One thread at a time, but for Wake.
class Listener {
 public:
  virtual ~Listener() = default;

  virtual void Log(LogLevel /*level*/, const std::string& /*line*/) {}
  virtual void OnEvent(const Event& /*event*/) {}
  // Something happened: call Client::Tick soon. From any thread, also during another call of this
  // object; never while the client runs in the background. Must only signal your loop: no call of
  // the client is allowed in here.
  virtual void Wake() {}
};

}  // namespace fedwatt
