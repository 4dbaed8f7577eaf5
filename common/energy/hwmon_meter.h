#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// Sensors of the hardware monitor, /sys/class/hwmon/hwmonN: energyM_input in microjoules,
// powerM_input or powerM_average in microwatts, or inM_input (mV) times currM_input (mA).
//
// A sensor counts only if what it sees is known by its chip's name, for a machine has many that
// see a part (a disk, a fan, a graphics card). In this order, one kind of chip, all of its
// instances added up:
//
//   amd_energy, zenergy                 energy of the sockets ("Esocket*")       package
//   zenpower, fam15h_power              power of core and SoC                    package
//   power_meter                         ACPI's meter of the whole machine        device
//   corsairpsu                          the power supply's total                 device
//   ina219 .. ina260, ina2xx            a board's supply, if there is but one    board
//
// Power is integrated (power_source.h): such a meter must be polled.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeHwmonMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
