#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/energy/energy_source.h"

namespace fedwatt {

// A counter of energy that only rises, but for wraps and resets.
struct EnergyCounter {
  std::string label;                                // "package-0"
  std::function<absl::StatusOr<double>()> read_uj;  // an error is a gap, never a zero
  double range_uj = 0;      // where it wraps to 0; 0: it does not wrap, or nobody knows where
  double step_uj = 0;       // its resolution
  double max_watts = 1000;  // no more can flow through it
  std::string fall_means = "the counter went back and its range is unknown";
};

// Counters that add up, as one source.
//
//   rise = now - last, or now + range - last after a wrap
//
// A break, never a figure: a rise beyond max_watts (a reset, or nonsense), a fall without a range,
// and readings so far apart (range / max_watts) that two wraps fit between. A reading that fails is
// no break: the next one that succeeds continues, for a counter forgets nothing.
// An error FAILED_PRECONDITION is a break: what is read is not the device's use now.
// `update_us`: how often the counters are renewed. `max_poll_us`: how often to look at least.
std::unique_ptr<EnergySource> MakeCounterSource(std::vector<EnergyCounter> counters,
                                                int64_t update_us,
                                                int64_t max_poll_us = 60'000'000);

}  // namespace fedwatt
