#pragma once

// A clock that moves only when told to: for tests and for the simulator's virtual time.

#include <atomic>
#include <cstdint>

#include "common/base/clock.h"

namespace fedwatt {

// Thread-safe.
class FakeClock final : public Clock {
 public:
  // The default start is 2026-01-01T00:00:00Z, so that ages and expiry dates are plausible.
  static constexpr int64_t kDefaultStartMs = 1767225600000;

  explicit FakeClock(int64_t start_ms = kDefaultStartMs) : now_ms_(start_ms) {}

  int64_t NowMs() const override { return now_ms_.load(); }
  int64_t MonotonicUs() const override { return monotonic_us_.load(); }

  // Sets the wall clock alone, as an administrator or NTP would; may go back.
  void SetMs(int64_t now_ms) { now_ms_.store(now_ms); }

  // Lets time pass: both clocks move. `delta_ms` must not be negative.
  void AdvanceMs(int64_t delta_ms) {
    now_ms_.fetch_add(delta_ms);
    monotonic_us_.fetch_add(delta_ms * 1000);
  }

 private:
  std::atomic<int64_t> now_ms_;
  std::atomic<int64_t> monotonic_us_{0};
};

}  // namespace fedwatt
