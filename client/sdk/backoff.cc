#include "client/sdk/backoff.h"

#include <algorithm>

namespace fedwatt {

int64_t Backoff::NextMs() {
  constexpr uint32_t kMaxDoublings = 30;
  const int64_t initial = std::max<int64_t>(options_.initial_ms, 1);
  int64_t bound = options_.max_ms;
  if (tries_ < kMaxDoublings) bound = std::min(bound, initial << tries_);
  ++tries_;
  const int64_t half = bound / 2;
  return bound - static_cast<int64_t>(rng_.UniformInt(static_cast<uint64_t>(half) + 1));
}

int64_t Backoff::Spread(int64_t delay_ms) {
  const int64_t delay = std::max<int64_t>(delay_ms, 0);
  return delay + static_cast<int64_t>(rng_.UniformInt(static_cast<uint64_t>(delay / 10) + 1));
}

}  // namespace fedwatt
