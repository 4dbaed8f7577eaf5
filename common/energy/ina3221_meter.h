#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// The INA3221 sensors of NVIDIA's Jetson boards, below /sys/bus/i2c/drivers/ina3221 or ina3221x:
//
//   N-00AA/hwmon/hwmonM/{inK_label,inK_input (mV),currK_input (mA)}      newer
//   N-00AA/iio:deviceM/{rail_name_K,in_powerK_input (mW)}                older
//
// Taken is the rail of the whole board alone (VDD_IN, or POM_5V_IN on the Nano), which contains the
// others; never one called NC, a disabled one, or in4 to in7 (shunt voltages). Scope board. Power
// is integrated (power_source.h): the meter must be polled.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeIna3221Meter(const EnergyMeterEnv& env);

}  // namespace fedwatt
