#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// RAPL through Linux' powercap, microjoule counters that wrap at max_energy_range_uj:
//
//   /sys/class/powercap/intel-rapl:N        a package, or psys (ids are hexadecimal)
//   /sys/class/powercap/intel-rapl:N:M      its domains; dram lies beside a package, the others
//                                           (core, uncore) inside
//   /sys/class/powercap/intel-rapl-mmio:N   a package once more, by another register
//
// Taken are the packages, each once, with their dram; where there is no package, psys, which
// contains them. The first of two twins that can be read is taken. Windows, attribution, errors:
// source_meter.h, counter_source.h.
//
// UNAVAILABLE names the path and the reason (absent, or readable by root only).
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeRaplMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
