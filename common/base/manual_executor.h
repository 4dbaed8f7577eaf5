#pragma once

// An executor without threads: the caller decides when tasks run and when time passes, so a test
// or a simulation is deterministic.

#include <cstdint>
#include <deque>
#include <optional>

#include "common/base/executor.h"
#include "common/base/fake_clock.h"
#include "common/base/mutex.h"
#include "common/base/timer_queue.h"

namespace fedwatt {

// Any thread may post and cancel; one thread at a time runs. Ready tasks run in the order posted;
// timers in the order of their due time, then of PostAfter. Never destroyed while running.
class ManualExecutor final : public Executor {
 public:
  // `clock` must outlive this object. Its monotonic side drives the timers.
  explicit ManualExecutor(FakeClock* clock) : clock_(clock) {}

  void Post(Task task) override;
  uint64_t PostAfter(int64_t delay_ms, Task task) override;
  bool Cancel(uint64_t timer_id) override;

  // Runs ready tasks and due timers, and those that they post, until none is left. Returns how
  // many ran.
  int RunReady();

  // Lets `delta_ms` pass, stopping at every timer on the way: a task sees the clock at its own
  // due time. Returns how many tasks ran.
  int AdvanceMs(int64_t delta_ms);

  // Milliseconds until the next timer is due (0: due now), or -1 if there is none.
  int64_t NextTimerDelayMs() const;

  // Tasks and timers that wait.
  int pending() const;

 private:
  std::optional<Task> TakeNext();
  bool RunOne();

  FakeClock* const clock_;

  mutable Mutex mutex_;
  std::deque<Task> ready_ ABSL_GUARDED_BY(mutex_);
  TimerQueue timers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fedwatt
