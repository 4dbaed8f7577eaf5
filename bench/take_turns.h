#pragma once

#include <algorithm>
#include <vector>

#include "bench/table.h"
#include "common/base/cpu_time.h"

namespace fedwatt::bench {

// Of one run of each body.
struct TurnSeconds {
  double ours = 0;
  double limit = 0;
};

// Two loops that take turns, so that what else the machine does slows both: medians of this
// process's CPU seconds, after one run of each that does not count. The process has no other busy
// thread. The clock has microseconds: a run should take a thousand.
template <typename Ours, typename Limit>
TurnSeconds TakeTurns(int turns, Ours&& ours, Limit&& limit) {
  const auto seconds = [](auto& body) {
    const int64_t begin_us = SelfCpuTimeUs();
    body();
    return 1e-6 * static_cast<double>(std::max<int64_t>(1, SelfCpuTimeUs() - begin_us));
  };
  ours();
  limit();
  std::vector<double> ours_s, limit_s;
  for (int i = 0; i < turns; ++i) {
    ours_s.push_back(seconds(ours));
    limit_s.push_back(seconds(limit));
  }
  return {Median(std::move(ours_s)), Median(std::move(limit_s))};
}

}  // namespace fedwatt::bench
