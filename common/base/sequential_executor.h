#pragma once

// A strand: tasks run one at a time, in the order posted, on the threads of another executor.
// State that is touched only from one SequentialExecutor needs no lock.

#include <cstdint>
#include <memory>

#include "common/base/executor.h"

namespace fedwatt {

// Each task sees everything that earlier tasks wrote. A long queue yields the pool's thread to
// others now and then. `pool` must outlive this object.
//
// Destruction drops the tasks and timers that have not started (their closures are destroyed
// unrun), and waits for the task that is running, unless the destructor is called by that task
// itself. After it returns no task runs.
class SequentialExecutor final : public Executor {
 public:
  explicit SequentialExecutor(Executor* pool);
  ~SequentialExecutor() override;

  SequentialExecutor(const SequentialExecutor&) = delete;
  SequentialExecutor& operator=(const SequentialExecutor&) = delete;

  void Post(Task task) override;
  uint64_t PostAfter(int64_t delay_ms, Task task) override;
  bool Cancel(uint64_t timer_id) override;

 private:
  class State;
  const std::shared_ptr<State> state_;
};

}  // namespace fedwatt
