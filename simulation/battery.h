#pragma once

#include <cstdint>
#include <optional>

#include "simulation/on_off.h"

// A device's battery between two moments: it charges while it is plugged in, drains idly, and
// carries the load of the work. Charge is a piecewise linear function of time, so nothing has to
// tick.
namespace fedwatt {

struct BatteryModel {
  double capacity_j = 0;  // 0: mains; never empty
  double charge_w = 0;    // into the battery while it is plugged in, which then also feeds the load
  double idle_w = 0;      // drain while it is not
};

struct BatteryState {
  int64_t at_ms = 0;
  double charge_j = 0;
  OnOffState charging;
};

// `plug`: when it is plugged in.
struct Plug {
  const OnOff* model = nullptr;
  OnOffKey key;
};

// Lets time pass until `now_ms` with `load_w` drawn by work all the while. A charge of 0 on battery
// power: the device is off.
void AdvanceBattery(const BatteryModel& battery, const Plug& plug, double load_w, int64_t now_ms,
                    BatteryState* state);

// When the battery is empty under that load, within `horizon_ms` from state.at_ms.
std::optional<int64_t> EmptyAtMs(const BatteryModel& battery, const Plug& plug, double load_w,
                                 int64_t horizon_ms, const BatteryState& state);

// When the charge, idle, is at least `charge_j`, within the horizon.
std::optional<int64_t> ChargedAtMs(const BatteryModel& battery, const Plug& plug, double charge_j,
                                   int64_t horizon_ms, const BatteryState& state);

}  // namespace fedwatt
