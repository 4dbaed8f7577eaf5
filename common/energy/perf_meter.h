#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// The same registers as RAPL's through the kernel's perf events, for hosts whose powercap files are
// closed to this user:
//
//   /sys/bus/event_source/devices/power/{type,cpumask}
//   /sys/bus/event_source/devices/power/events/energy-{pkg,ram,psys}[.scale,.unit]
//
// energy-pkg with energy-ram, else energy-psys, which contains them, on each processor of the
// mask (one per package). A count times the scale (2^-32) is joules. The kernel extends the
// counters to 64 bits: no wrap.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakePerfMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
