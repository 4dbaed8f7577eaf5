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
  const uint64_t id = next_id_++;
  timers_.emplace(TimerKey(due_us, id), std::move(task));
  due_by_id_[id] = due_us;
  return id;
}

bool ManualExecutor::Cancel(uint64_t timer_id) {
  Task dropped;
  MutexLock lock(&mutex_);
  const auto due = due_by_id_.find(timer_id);
  if (due == due_by_id_.end()) return false;
  const auto timer = timers_.find(TimerKey(due->second, timer_id));
  dropped = std::move(timer->second);
  timers_.erase(timer);
  due_by_id_.erase(due);
  return true;
}

bool ManualExecutor::RunOne() {
  Task task;
  {
    MutexLock lock(&mutex_);
    if (!ready_.empty()) {
      task = std::move(ready_.front());
      ready_.pop_front();
    } else if (!timers_.empty() && timers_.begin()->first.first <= clock_->MonotonicUs()) {
      task = std::move(timers_.begin()->second);
      due_by_id_.erase(timers_.begin()->first.second);
      timers_.erase(timers_.begin());
    } else {
      return false;
    }
  }
  task();
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
  if (timers_.empty()) return -1;
  return std::max<int64_t>(timers_.begin()->first.first - clock_->MonotonicUs(), 0) / 1000;
}

int ManualExecutor::pending() const {
  MutexLock lock(&mutex_);
  return static_cast<int>(ready_.size() + timers_.size());
}

}  // namespace fedwatt
