#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// What the app that embeds this client knows (env.host): on phones the only dependable source, for
// example Android 15's PowerMonitor (uW*s since boot). Attributed by CPU time unless the host's
// scope is already the process. UNAVAILABLE without env.host.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeHostMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
