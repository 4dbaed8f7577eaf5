#pragma once

#include <cstdint>
#include <limits>

namespace fedwatt {

// `at_ms + duration_ms`, at most the largest time there is. `duration_ms` >= 0.
inline int64_t AddMs(int64_t at_ms, int64_t duration_ms) {
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  return at_ms > kLast - duration_ms ? kLast : at_ms + duration_ms;
}

}  // namespace fedwatt
