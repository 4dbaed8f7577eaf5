#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "client/capi/struct_check.h"

namespace fedwatt {

// While it lives, this thread is inside of one of the app's functions, from where a client cannot
// be closed.
class AppCall {
 public:
  AppCall();
  ~AppCall();
  AppCall(const AppCall&) = delete;
  AppCall& operator=(const AppCall&) = delete;

  static bool IsUnderWay();
};

// One of the app's objects: a copy of its table of functions, and the duty to destroy it.
template <typename Table>
class AppObject {
 public:
  explicit AppObject(const Table& table) : table_(table) {}
  ~AppObject() {
    if (!owned_ || table_.destroy == nullptr) return;
    try {
      table_.destroy(table_.ctx);
    } catch (...) {
      // There is nobody left to tell.
    }
  }
  AppObject(const AppObject&) = delete;
  AppObject& operator=(const AppObject&) = delete;

  const Table& table() const { return table_; }
  void* ctx() const { return table_.ctx; }

  // From now on the object is ours to destroy; before, it is still the app's.
  void TakeOver() { owned_ = true; }

 private:
  const Table table_;
  bool owned_ = false;
};

// An error that a callback gave, as a status: "the data source: <message>".
absl::Status CallbackStatus(int32_t code, const fedwatt_error& error, const std::string& who);

// Calls `callback(error)` and turns its answer into a status; exceptions pass.
template <typename Callback>
absl::Status CallApp(const std::string& who, Callback callback) {
  const AppCall call;
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  return CallbackStatus(callback(&error), error, who);
}

// `status` for the caller of a C function. Returns its code.
int32_t GiveStatus(const absl::Status& status, fedwatt_error* error);

}  // namespace fedwatt
