#pragma once

// How long to wait before trying again: exponential with jitter, so that a fleet whose coordinator
// comes back does not return in one instant.

#include <cstdint>

#include "common/base/rng.h"

namespace fedwatt {

struct BackoffOptions {
  int64_t initial_ms = 500;
  int64_t max_ms = 60'000;
};

// Not thread-safe.
class Backoff {
 public:
  Backoff(const BackoffOptions& options, const RngKey& key) : options_(options), rng_(key) {}

  // The n-th call since Reset gives a uniform value in [b/2, b] with b = min(initial 2^(n-1), max).
  int64_t NextMs();

  // `delay_ms` plus up to a tenth: for times that a server gave to many clients alike.
  int64_t Spread(int64_t delay_ms);

  void Reset() { tries_ = 0; }
  uint32_t tries() const { return tries_; }

 private:
  const BackoffOptions options_;
  Rng rng_;
  uint32_t tries_ = 0;
};

}  // namespace fedwatt
