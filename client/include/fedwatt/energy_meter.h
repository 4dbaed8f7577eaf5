#pragma once

#include <fedwatt/fedwatt.h>
#include <fedwatt/status.h>

#include <cstdint>

namespace fedwatt {

// Whose joules a meter counts.
enum class EnergyScope {
  kProcess = FEDWATT_SCOPE_PROCESS,
  kPackage = FEDWATT_SCOPE_PACKAGE,
  kBoard = FEDWATT_SCOPE_BOARD,
  kDevice = FEDWATT_SCOPE_DEVICE,
};

// What the platform says of joules, for example Android's PowerMonitor. Without one the client
// looks for a meter of its own; without any, energy is reported as unavailable, which is not 0.
// One thread at a time. Must not block.
class EnergyMeter {
 public:
  virtual ~EnergyMeter() = default;

  virtual EnergyScope Scope() const = 0;
  // Microjoules since any start, never falling. An error is a gap, not zero.
  virtual Result<int64_t> TotalUj() = 0;
  // How often the platform renews the figure.
  virtual int64_t UpdateUs() const { return 1'000'000; }
};

}  // namespace fedwatt
