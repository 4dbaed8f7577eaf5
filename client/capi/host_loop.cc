#include "client/capi/host_loop.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

// A host that ticks between frames does not want to be kept.
constexpr int kMaxTasks = 256;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kNow = std::numeric_limits<int64_t>::min();

}  // namespace

absl::Status ExceptionStatus(const char* where) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("out of memory in ", where));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("exception in ", where, ": ", error.what()));
  } catch (...) {
    return absl::InternalError(absl::StrCat("exception in ", where));
  }
}

HostLoop::HostLoop(const Clock* clock, std::function<void()> wake)
    : clock_(clock), wake_(std::move(wake)) {}

bool HostLoop::TakeWake(int64_t due_us) {
  if (running_ || due_us >= expected_us_) return false;
  expected_us_ = due_us;
  return true;
}

void HostLoop::Post(Task task) {
  bool wake = false;
  {
    MutexLock lock(&mutex_);
    ready_.push_back(std::move(task));
    wake = TakeWake(kNow);
  }
  if (wake && wake_) wake_();
}

uint64_t HostLoop::PostAfter(int64_t delay_ms, Task task) {
  const int64_t due_us = clock_->MonotonicUs() + std::max<int64_t>(delay_ms, 0) * 1000;
  bool wake = false;
  uint64_t id = 0;
  {
    MutexLock lock(&mutex_);
    id = timers_.Add(due_us, std::move(task));
    wake = TakeWake(due_us);
  }
  if (wake && wake_) wake_();
  return id;
}

bool HostLoop::Cancel(uint64_t timer_id) {
  std::optional<Task> dropped;
  MutexLock lock(&mutex_);
  dropped = timers_.Cancel(timer_id);
  return dropped.has_value();
}

void HostLoop::MoveDueTimers() {
  const int64_t now_us = clock_->MonotonicUs();
  while (auto due = timers_.TakeDue(now_us)) ready_.push_back(*std::move(due));
}

int64_t HostLoop::NextWakeMs() const {
  if (!ready_.empty()) return 0;
  const std::optional<int64_t> due_us = timers_.NextDueUs();
  if (!due_us.has_value()) return kUntilWoken;
  const int64_t wait_us = *due_us - clock_->MonotonicUs();
  return std::max<int64_t>(0, (wait_us + 999) / 1000);
}

void HostLoop::RunTask(Task task) {
  try {
    task();
  } catch (...) {
    Break(ExceptionStatus("the client's loop"));
  }
}

absl::StatusOr<int64_t> HostLoop::Run() {
  MutexLock lock(&mutex_);
  if (running_) {
    return absl::FailedPreconditionError(
        "the client's loop runs already, on another thread or further up on this one");
  }
  running_ = true;
  for (int i = 0; i < kMaxTasks && broken_.ok(); ++i) {
    MoveDueTimers();
    if (ready_.empty()) break;
    Task task = std::move(ready_.front());
    ready_.pop_front();
    mutex_.Unlock();
    RunTask(std::move(task));
    mutex_.Lock();
  }
  running_ = false;
  stopped_.NotifyAll();
  if (!broken_.ok()) return broken_;
  const int64_t next_ms = NextWakeMs();
  expected_us_ = next_ms == kUntilWoken ? kNever
                 : next_ms == 0         ? kNow
                                        : clock_->MonotonicUs() + next_ms * 1000;
  return next_ms;
}

void HostLoop::Break(const absl::Status& why) {
  {
    MutexLock lock(&mutex_);
    if (broken_.ok()) broken_ = why;
  }
  if (wake_) wake_();
}

void HostLoop::Finish() {
  std::deque<Task> ready;
  TimerQueue timers;
  MutexLock lock(&mutex_);
  if (broken_.ok()) broken_ = absl::FailedPreconditionError("the client was closed");
  while (running_) stopped_.Wait(&mutex_);
  ready.swap(ready_);
  std::swap(timers, timers_);
}

Task GuardedExecutor::Guard(Task task) const {
  return [task = std::move(task), loop = loop_]() mutable {
    try {
      task();
    } catch (...) {
      loop->Break(ExceptionStatus("the client's work"));
    }
  };
}

}  // namespace fedwatt
