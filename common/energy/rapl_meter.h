#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// RAPL through Linux' powercap: /sys/class/powercap/intel-rapl:N (packages, and psys where it is
// the only domain), microjoule counters that wrap at max_energy_range_uj. A figure is this
// process's share of the packages' energy by CPU time: quality derived, scope process, with the
// packages' own total in machine_energy_uj. Without env.machine_cpu_time_us the share is unknown
// and the packages' energy itself is given: quality measured, scope package.
//
// UNAVAILABLE names the path and the reason (absent, or readable by root only).
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeRaplMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
