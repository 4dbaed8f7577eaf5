#pragma once

// The only place that asks the system for the time. Everything else is handed a Clock, so that
// tests and simulations decide what time it is.

#include <cstdint>

namespace fedwatt {

// Thread-safe: every method may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;

  // Milliseconds since the Unix epoch. May jump, also backwards, when the host's clock is set.
  virtual int64_t NowMs() const = 0;

  // Microseconds since an arbitrary start. Never goes back; differences are durations.
  virtual int64_t MonotonicUs() const = 0;
};

// The host's clocks. Stateless: create one wherever a main needs it.
class SystemClock final : public Clock {
 public:
  int64_t NowMs() const override;
  int64_t MonotonicUs() const override;
};

}  // namespace fedwatt
