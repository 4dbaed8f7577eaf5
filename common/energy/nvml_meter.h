#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// NVIDIA GPUs by nvmlDeviceGetTotalEnergyConsumption: all of the host's that count, added up.
// Quality measured, scope board (a GPU's board): the CPU's share says nothing of a GPU, so that
// nothing is attributed. It stands beside the CPU's meter and is never added to it. Devices older
// than Volta have no counter and are left out.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeNvmlMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
