#include "common/base/manual_executor.h"

#include <algorithm>
#include <utility>

namespace fedwatt {

void ManualExecutor::Post(Task task) {
  MutexLock lock(&mutex_);
  ready_.push_back(std::move(task));
}

uint64_t ManualExecutor::PostAfter(int64_t delay_ms, Task task) {
  MutexLock lock(&mutex_);
  const int64_t due_us = clock_->MonotonicUs() + std::max<int64_t>(delay_ms, 0) * 1000;
  return timers_.Add(due_us, std::move(task));
}

bool ManualExecutor::Cancel(uint64_t timer_id) {
  std::optional<Task> dropped;
  MutexLock lock(&mutex_);
  dropped = timers_.Cancel(timer_id);
  return dropped.has_value();
}

std::optional<Task> ManualExecutor::TakeNext() {
  MutexLock lock(&mutex_);
  if (ready_.empty()) return timers_.TakeDue(clock_->MonotonicUs());
  std::optional<Task> task = std::move(ready_.front());
  ready_.pop_front();
  return task;
}

bool ManualExecutor::RunOne() {
  std::optional<Task> task = TakeNext();
  if (!task.has_value()) return false;
  (*task)();
  return true;
}

int ManualExecutor::RunReady() {
  int ran = 0;
  while (RunOne()) ++ran;
  return ran;
}

int ManualExecutor::AdvanceMs(int64_t delta_ms) {
  const int64_t end_us = clock_->MonotonicUs() + delta_ms * 1000;
  int ran = RunReady();
  while (true) {
    const int64_t next_ms = NextTimerDelayMs();
    if (next_ms < 0 || clock_->MonotonicUs() + next_ms * 1000 > end_us) break;
    clock_->AdvanceMs(next_ms);
    ran += RunReady();
  }
  clock_->AdvanceMs((end_us - clock_->MonotonicUs()) / 1000);
  return ran;
}

int64_t ManualExecutor::NextTimerDelayMs() const {
  MutexLock lock(&mutex_);
  const std::optional<int64_t> due_us = timers_.NextDueUs();
  if (!due_us.has_value()) return -1;
  return std::max<int64_t>(*due_us - clock_->MonotonicUs(), 0) / 1000;
}

int ManualExecutor::pending() const {
  MutexLock lock(&mutex_);
  return static_cast<int>(ready_.size() + timers_.size());
}

}  // namespace fedwatt
