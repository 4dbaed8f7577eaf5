#pragma once

// A fixed number of threads that run tasks in the order posted, with timers.

#include <cstdint>
#include <deque>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "common/base/timer_queue.h"

namespace fedwatt {

// Timers follow the host's monotonic clock. A timer fires when it is due and a thread is free.
class ThreadPool final : public Executor {
 public:
  // Starts `threads` threads (at least one).
  explicit ThreadPool(int threads);

  // Calls Shutdown().
  ~ThreadPool() override;

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void Post(Task task) override;
  uint64_t PostAfter(int64_t delay_ms, Task task) override;
  bool Cancel(uint64_t timer_id) override;

  // Refuses new tasks, runs every task already posted, drops the timers that are not due, and
  // joins the threads. Idempotent. Must not be called from a task of this pool.
  void Shutdown();

 private:
  void Work();
  void MoveDueTimers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WaitForWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SystemClock clock_;

  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Task> ready_ ABSL_GUARDED_BY(mutex_);
  TimerQueue timers_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::thread> threads_;  // constant between construction and Shutdown
};

}  // namespace fedwatt
