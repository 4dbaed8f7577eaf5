#pragma once

#include <optional>
#include <string>
#include <vector>

// What a device says of its own condition. Exact figures: they are for the gate on the device
// (condition_rules.h) and never leave it; the coordinator gets buckets (common/model/telemetry.h).
namespace fedwatt {

// Empty: unknown, which is neither false nor zero.
struct DeviceState {
  std::optional<bool> charging;         // on external power; a device without a battery always is
  std::optional<double> charge;         // 0 to 1, of all batteries together
  std::optional<double> capacity_wh;    // of all batteries when full
  std::optional<double> temperature_c;  // of the hottest sensor
  std::string hottest;                  // its name, "x86_pkg_temp"
  std::optional<bool> metered;          // the network costs by the byte
  // Share of the processors, 0 to 1, that others than this client and its trainer keep busy.
  std::optional<double> load;

  // What was read and cannot be believed, one sentence each: "BAT0 reports a capacity of 0 ...".
  std::vector<std::string> flaws;
};

class DeviceConditions {
 public:
  virtual ~DeviceConditions() = default;

  // Called every few seconds, always on the session's executor; must not block for long.
  virtual DeviceState Read() = 0;
};

}  // namespace fedwatt
