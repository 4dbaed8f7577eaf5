#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "common/base/executor.h"
#include "common/base/mutex.h"

// Heavy work (hashing, folding, commits) on a shared executor, at most so many pieces at a time, so
// that the executor's other threads stay free for check-ins. First come, first served. Thread-safe.
namespace fedwatt {

class WorkQueue {
 public:
  // `executor` must outlive this object and every task posted.
  WorkQueue(Executor* executor, uint32_t max_parallel);
  ~WorkQueue();  // Close()

  void Post(Task task);

  // Drops what has not started, waits for what is running, refuses what comes later. Must not be
  // called from a task of this queue.
  void Close();

 private:
  struct State;
  static void StartMore(const std::shared_ptr<State>& state);
  static void RunOne(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace fedwatt
