#pragma once

#include <cstdint>

#include "simulation/battery.h"
#include "simulation/on_off.h"

namespace fedwatt {

// All that there is of a virtual device while nothing of it runs. What its session must not forget
// (assignments that it holds, residuals, costs) is in its state folder, as on a real device; its
// other traits follow from the fleet's model, the seed and its number.
struct DeviceRecord {
  BatteryState battery;
  OnOffState availability;
  int64_t wake_ms = 0;
  int64_t spent_uj = 0;  // by all its work
  int64_t lost_uj = 0;   // of these: on work that ended with the device, and no report tells
  uint32_t examples = 0;
  uint32_t wakes = 0;
  uint32_t assignments = 0;
  uint32_t deaths = 0;  // by an empty battery
  uint32_t dropouts = 0;
  float claim_factor = 1;  // of the joules that it reports
  uint16_t class_index = 0;
  bool has_folder = false;
  bool off = false;  // by an empty battery, or dropped out
  bool malicious = false;
  bool evaluator = false;
};
static_assert(sizeof(DeviceRecord) <= 200);

}  // namespace fedwatt
