#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// What the device's batteries give, from /sys/class/power_supply/*, in this order:
//
//   power_now                   uW
//   current_now x voltage_now   uA x uV x 1e-12 = W
//   energy_now                  uWh x 3600 = uJ, a counter that falls in steps of about 36 J
//   charge_now x voltage_now    uAh, likewise
//
// The first two are integrated (power_source.h): the meter must be polled. Drivers differ in the
// sign of a discharge, so that the sign means nothing, but a change of it does: charging has begun.
// While a battery charges, or none discharges, its current is not what the device uses: such a
// window is unavailable, and with the mains plugged in there is no meter. Batteries of mice and
// the like (scope "Device") are left out. Scope device.
//
// UNAVAILABLE also where the gauge reports a capacity of 0 %: it cannot be believed.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeBatteryMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
