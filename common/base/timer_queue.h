#pragma once

// The timers of an executor, in the order of their due time, then of Add. Not thread-safe: it lies
// behind the executor's own lock. Every method takes at most O(log n).

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "common/base/executor.h"

namespace fedwatt {

class TimerQueue {
 public:
  // Returns an id for Cancel, never 0, not used again.
  uint64_t Add(int64_t due_us, Task task);

  // The task, if it still waited. To be destroyed without the executor's lock: its captures may
  // call the executor.
  std::optional<Task> Cancel(uint64_t id);

  // The first task whose time has come, taken out.
  std::optional<Task> TakeDue(int64_t now_us);

  // When the first is due; none: nothing waits.
  std::optional<int64_t> NextDueUs() const;

  size_t size() const { return timers_.size(); }

 private:
  using Key = std::pair<int64_t, uint64_t>;  // due (us), id

  uint64_t last_id_ = 0;
  std::map<Key, Task> timers_;
  std::unordered_map<uint64_t, int64_t> due_by_id_;
};

}  // namespace fedwatt
