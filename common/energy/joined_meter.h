#pragma once

#include <memory>
#include <vector>

#include "common/energy/energy_meter.h"

namespace fedwatt {

// `main` with others beside it: one window for all, main's sample with the others' in `beside`.
// A source that a window does not concern gives none. Without others it is `main` itself.
std::unique_ptr<EnergyMeter> JoinMeters(std::unique_ptr<EnergyMeter> main,
                                        std::vector<std::unique_ptr<EnergyMeter>> beside);

}  // namespace fedwatt
