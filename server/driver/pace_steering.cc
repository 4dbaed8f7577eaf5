#include "server/driver/pace_steering.h"

#include <algorithm>

#include "common/base/rng.h"

namespace fedwatt {

int64_t RetryAfterMs(int64_t base_ms, PaceReason reason, const std::string& client, uint64_t nth) {
  constexpr double kSpread = 0.25;
  double scaled = static_cast<double>(base_ms);
  if (reason == PaceReason::kWanted) scaled *= 0.1;
  if (reason == PaceReason::kNoMatch) scaled *= 3;
  Rng rng(RngKey{.job = "", .round = nth, .client = client, .purpose = "retry-after"});
  const double factor = 1 - kSpread + 2 * kSpread * rng.Uniform01();
  return std::max<int64_t>(1, static_cast<int64_t>(scaled * factor));
}

}  // namespace fedwatt
