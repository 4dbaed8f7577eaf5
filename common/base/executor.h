#pragma once

// Where work runs. Code that must not care about threads takes an Executor: production hands it a
// ThreadPool or a SequentialExecutor on one, tests and the simulator a ManualExecutor.

#include <cstdint>

#include "absl/functional/any_invocable.h"

namespace fedwatt {

// Runs once, then is destroyed. Must not throw.
using Task = absl::AnyInvocable<void()>;

// Thread-safe, and may be called from inside a task.
class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `task` soon, never inside this call. After shutdown the task is destroyed unrun.
  virtual void Post(Task task) = 0;

  // Runs `task` once `delay_ms` have passed (at once when it is 0 or negative). Returns an id for
  // Cancel, never 0.
  virtual uint64_t PostAfter(int64_t delay_ms, Task task) = 0;

  // True if the task was still waiting; it will then never run. False if it has run, is running,
  // was cancelled, or `timer_id` is unknown.
  virtual bool Cancel(uint64_t timer_id) = 0;
};

}  // namespace fedwatt
