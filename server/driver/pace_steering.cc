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

int64_t CrowdPaceMs(int64_t base_ms, int64_t poll_ms, uint64_t known, uint64_t enough) {
  constexpr double kMostMs = 3'600'000;
  const double turns =
      static_cast<double>(known) / static_cast<double>(std::max<uint64_t>(enough, 1));
  const double away_ms = static_cast<double>(std::max(poll_ms, base_ms)) * (turns - 1);
  return std::max(base_ms, static_cast<int64_t>(std::min(away_ms, kMostMs)));
}

}  // namespace fedwatt
