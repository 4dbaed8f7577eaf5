#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// Watts of one busy core when the host was not calibrated. Published package powers divided by
// cores lie between 2 W (phones, dense servers) and 15 W (desktops); their geometric mean, and a
// standard deviation that covers both ends.
inline constexpr double kDefaultWattsPerBusyCore = 6.0;
inline constexpr double kDefaultWattsRelativeSigma = 0.6;
// With env.watts_per_busy_core given: work differs in watts, whatever the fit's own deviation
// (env.watts_relative_sigma), which is added in quadrature.
inline constexpr double kCalibratedRelativeSigma = 0.2;

// Estimates process energy as (CPU time of this process and its trainer) x watts per busy core.
// Quality estimated, scope process. UNAVAILABLE without env.cpu_time_us.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeCpuTimeMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
