#pragma once

#include <fedwatt/status.h>

#include <optional>

namespace fedwatt {

// The device as it is now. Empty: unknown, which breaks no rule. Exact figures stay on the device.
struct DeviceState {
  std::optional<bool> charging;         // on external power
  std::optional<bool> metered;          // the network costs by the byte
  std::optional<double> charge;         // 0 to 1
  std::optional<double> capacity_wh;    // of the full battery
  std::optional<double> temperature_c;  // of the hottest part
  std::optional<double> load;           // 0 to 1, processors busy with other things
};

// Asked every few seconds, also during training. One thread at a time. Must not block.
class DeviceConditions {
 public:
  virtual ~DeviceConditions() = default;
  virtual Result<DeviceState> Read() = 0;
};

// When the device's owner lets it work.
struct DeviceRules {
  bool require_charging = false;
  bool allow_metered = false;
  std::optional<double> min_charge;  // 0 to 1; does not bind on external power
  std::optional<double> max_temperature_c;
  std::optional<double> max_load;  // 0 to 1
};

}  // namespace fedwatt
