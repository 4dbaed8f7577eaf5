#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "common/base/clock.h"

namespace fedwatt {

// Where an app's callback is, and since when: what a watchdog looks at. One thread writes, any
// reads.
class Activity {
 public:
  explicit Activity(const Clock* clock) : clock_(clock) { Alive(); }

  // A sign of life.
  void Alive() { since_us_ = clock_->MonotonicUs(); }
  // The thread enters `what` (a constant text: "the data source's next"), which may take so long.
  void Enter(const char* what, int64_t limit_ms);
  // It is back in the call that was under way before.
  void Leave();
  // The call that the others are made from.
  void Begin(const char* what, int64_t limit_ms);

  // DEADLINE_EXCEEDED, naming the call, once it has taken longer than its limit.
  absl::Status Check() const;
  // The same for work that was cancelled: calls that Enter knows of have kCancelledMs from then on,
  // and the error is CANCELLED. To be called again and again.
  static constexpr int64_t kCancelledMs = 100;
  absl::Status CheckCancelled();

 private:
  const Clock* const clock_;
  static constexpr int64_t kNoLimit = INT64_MAX;

  const char* outer_ = "the app";      // of the writing thread
  int64_t outer_limit_ms_ = kNoLimit;  // likewise
  std::atomic<const char*> what_{"the app"};
  std::atomic<int64_t> limit_ms_{kNoLimit};
  std::atomic<int64_t> since_us_{0};
  std::atomic<bool> inside_{false};  // of a call that Enter named
  int64_t cancelled_us_ = -1;        // of the looking thread: when CheckCancelled was first called
};

// The one thread on which the app's data source and trainer are called. Whoever waits for them can
// give up: an app's call that hangs takes this thread with it, and nothing else.
class CallbackThread {
 public:
  CallbackThread();
  // Waits for the thread unless it hangs; then it is left alone, with what its work holds.
  ~CallbackThread();
  CallbackThread(const CallbackThread&) = delete;
  CallbackThread& operator=(const CallbackThread&) = delete;

  // Runs `work`, looking at it every 50 ms: an error of `look` ends the waiting with that error,
  // while `work` goes on. FAILED_PRECONDITION as long as an earlier work does so. `work` must own
  // what it uses.
  absl::Status Run(std::function<void()> work, const std::function<absl::Status()>& look);

  // A work that nobody waits for is still under way.
  bool hangs() const;
  // True on this thread.
  bool IsCurrent() const;

 private:
  struct State;
  static void Work(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
  std::thread thread_;  // started by the first Run
};

}  // namespace fedwatt
