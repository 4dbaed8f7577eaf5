#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/energy/energy_source.h"

namespace fedwatt {

struct PowerSensor {
  std::string label;
  // Watts now. FAILED_PRECONDITION: what is read is not the device's use (its battery is being
  // charged), a break; any other error is a gap.
  std::function<absl::StatusOr<double>()> read_w;
  int64_t update_us = 100'000;  // how often it is renewed
  double max_watts = 10'000;    // more, or less than 0, is a reading that failed
};

// Power made energy by the trapezoid rule over the readings:
//
//   E += (P1 + P0) / 2 * (t1 - t0)        variance += (P1 - P0)^2 / 12 * (t1 - t0)^2
//
// To be polled every update_us. Between readings more than ten periods apart, or with a failed one
// between them, nothing was seen.
std::unique_ptr<EnergySource> MakePowerSource(PowerSensor sensor);

}  // namespace fedwatt
