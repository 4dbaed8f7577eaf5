#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "common/base/timer_queue.h"

namespace fedwatt {

// A sequential executor without a thread: the host of an embedded client says when its tasks run
// (fedwatt_client_tick), and is woken when there is something to run.
class HostLoop final : public Executor {
 public:
  // Of Run: only a wake-up brings more.
  static constexpr int64_t kUntilWoken = -1;

  // `clock` outlives it. `wake`: called from the thread that posts, once for each time that the
  // answer of the last Run became wrong.
  HostLoop(const Clock* clock, std::function<void()> wake);

  // Any thread. From inside a task it does not wake anybody.
  void Post(Task task) override;
  uint64_t PostAfter(int64_t delay_ms, Task task) override;
  bool Cancel(uint64_t timer_id) override;

  // Runs what is ready and due, at most some hundred tasks, and says in how many milliseconds it
  // has to be called again: 0 when there is more. FAILED_PRECONDITION while it runs already, be it
  // on another thread or further up on this one. A task that threw leaves the loop unusable, and
  // every call gives the same error from then on: its sequence is broken.
  absl::StatusOr<int64_t> Run();

  // The error of a task that threw elsewhere, with the same consequence.
  void Break(const absl::Status& why);

  // Runs nothing from now on, waits for the task that is running, and destroys what has not run.
  // Not from inside a task.
  void Finish();

 private:
  void MoveDueTimers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t NextWakeMs() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether who posted has to wake the host.
  bool TakeWake(int64_t due_us) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunTask(Task task);

  const Clock* const clock_;
  const std::function<void()> wake_;

  mutable Mutex mutex_;
  CondVar stopped_;
  std::deque<Task> ready_ ABSL_GUARDED_BY(mutex_);
  TimerQueue timers_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  // When the host will call without being woken; 0 before it was told.
  int64_t expected_us_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);
};

// Posts to another executor tasks that cannot take the process with them: what one throws breaks
// `loop`.
class GuardedExecutor final : public Executor {
 public:
  GuardedExecutor(Executor* executor, HostLoop* loop) : executor_(executor), loop_(loop) {}

  void Post(Task task) override { executor_->Post(Guard(std::move(task))); }
  uint64_t PostAfter(int64_t delay_ms, Task task) override {
    return executor_->PostAfter(delay_ms, Guard(std::move(task)));
  }
  bool Cancel(uint64_t timer_id) override { return executor_->Cancel(timer_id); }

 private:
  Task Guard(Task task) const;

  Executor* const executor_;
  HostLoop* const loop_;
};

// The exception that is being handled, for people. RESOURCE_EXHAUSTED for want of memory, else
// INTERNAL.
absl::Status ExceptionStatus(const char* where);

}  // namespace fedwatt
