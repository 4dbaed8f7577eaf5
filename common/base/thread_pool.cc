#include "common/base/thread_pool.h"

#include <algorithm>
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
  uint64_t id = 0;
  {
    MutexLock lock(&mutex_);
    id = next_id_++;
    if (stopping_) return id;
    timers_.emplace(TimerKey(due_us, id), std::move(task));
    due_by_id_.emplace(id, due_us);
  }
  wake_.NotifyOne();
  return id;
}

bool ThreadPool::Cancel(uint64_t timer_id) {
  Task dropped;  // destroyed after the lock is released: its captures may call us
  MutexLock lock(&mutex_);
  const auto due = due_by_id_.find(timer_id);
  if (due == due_by_id_.end()) return false;
  const auto timer = timers_.find(TimerKey(due->second, timer_id));
  dropped = std::move(timer->second);
  timers_.erase(timer);
  due_by_id_.erase(due);
  return true;
}

void ThreadPool::Shutdown() {
  std::map<TimerKey, Task> dropped;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    MoveDueTimers();
    dropped.swap(timers_);
    due_by_id_.clear();
  }
  wake_.NotifyAll();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ThreadPool::MoveDueTimers() {
  const int64_t now_us = clock_.MonotonicUs();
  while (!timers_.empty() && timers_.begin()->first.first <= now_us) {
    const auto due = timers_.begin();
    due_by_id_.erase(due->first.second);
    ready_.push_back(std::move(due->second));
    timers_.erase(due);
  }
}

void ThreadPool::WaitForWork() {
  if (timers_.empty()) {
    wake_.Wait(&mutex_);
    return;
  }
  const int64_t wait_us = timers_.begin()->first.first - clock_.MonotonicUs();
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
      if (!ready_.empty() || !timers_.empty()) wake_.NotifyOne();
    }
    task();
  }
}

}  // namespace fedwatt
