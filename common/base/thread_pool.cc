#include "common/base/thread_pool.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace fedwatt {

ThreadPool::ThreadPool(int threads) {
  const int count = std::max(threads, 1);
  threads_.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) threads_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() { Shutdown(); }

void ThreadPool::Post(Task task) {
  {
    MutexLock lock(&mutex_);
    if (stopping_) return;
    ready_.push_back(std::move(task));
  }
  wake_.NotifyOne();
}

uint64_t ThreadPool::PostAfter(int64_t delay_ms, Task task) {
  const int64_t due_us = clock_.MonotonicUs() + std::max<int64_t>(delay_ms, 0) * 1000;
  std::optional<Task> dropped;
  uint64_t id = 0;
  {
    MutexLock lock(&mutex_);
    id = timers_.Add(due_us, std::move(task));
    if (stopping_) dropped = timers_.Cancel(id);
  }
  wake_.NotifyOne();
  return id;
}

bool ThreadPool::Cancel(uint64_t timer_id) {
  std::optional<Task> dropped;
  MutexLock lock(&mutex_);
  dropped = timers_.Cancel(timer_id);
  return dropped.has_value();
}

void ThreadPool::Shutdown() {
  TimerQueue dropped;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    MoveDueTimers();
    std::swap(dropped, timers_);
  }
  wake_.NotifyAll();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ThreadPool::MoveDueTimers() {
  const int64_t now_us = clock_.MonotonicUs();
  while (auto due = timers_.TakeDue(now_us)) ready_.push_back(*std::move(due));
}

void ThreadPool::WaitForWork() {
  const std::optional<int64_t> due_us = timers_.NextDueUs();
  if (!due_us.has_value()) {
    wake_.Wait(&mutex_);
    return;
  }
  const int64_t wait_us = *due_us - clock_.MonotonicUs();
  if (wait_us > 0) wake_.WaitFor(&mutex_, wait_us);
}

void ThreadPool::Work() {
  while (true) {
    Task task;
    {
      MutexLock lock(&mutex_);
      MoveDueTimers();
      while (ready_.empty() && !stopping_) {
        WaitForWork();
        MoveDueTimers();
      }
      if (ready_.empty()) return;
      task = std::move(ready_.front());
      ready_.pop_front();
      // This thread is now busy: somebody else has to watch the queue and the next timer.
      if (!ready_.empty() || timers_.NextDueUs().has_value()) wake_.NotifyOne();
    }
    task();
  }
}

}  // namespace fedwatt
