#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// A device that is only simulated (env.simulated): watts x the window's length + joules per byte,
// the same to the last bit wherever the clock is. Quality simulated, scope device. UNAVAILABLE
// without env.simulated, INVALID_ARGUMENT if one of its figures is negative or not a number.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeSimulatedMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
