#include "common/base/timer_queue.h"

namespace fedwatt {

uint64_t TimerQueue::Add(int64_t due_us, Task task) {
  const uint64_t id = ++last_id_;
  timers_.emplace(Key(due_us, id), std::move(task));
  due_by_id_.emplace(id, due_us);
  return id;
}

std::optional<Task> TimerQueue::Cancel(uint64_t id) {
  const auto due = due_by_id_.find(id);
  if (due == due_by_id_.end()) return std::nullopt;
  auto timer = timers_.extract(Key(due->second, id));
  due_by_id_.erase(due);
  return std::move(timer.mapped());
}

std::optional<Task> TimerQueue::TakeDue(int64_t now_us) {
  if (timers_.empty() || timers_.begin()->first.first > now_us) return std::nullopt;
  auto timer = timers_.extract(timers_.begin());
  due_by_id_.erase(timer.key().second);
  return std::move(timer.mapped());
}

std::optional<int64_t> TimerQueue::NextDueUs() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

}  // namespace fedwatt
