#include "server/driver/work_queue.h"

#include <algorithm>
#include <utility>

namespace fedwatt {

struct WorkQueue::State {
  State(Executor* e, uint32_t n) : executor(e), max_parallel(std::max(n, uint32_t{1})) {}

  Executor* const executor;
  const uint32_t max_parallel;

  Mutex mutex;
  CondVar idle;
  bool closed ABSL_GUARDED_BY(mutex) = false;
  uint32_t slots_taken ABSL_GUARDED_BY(mutex) = 0;  // posted to the executor
  uint32_t running ABSL_GUARDED_BY(mutex) = 0;
  std::deque<Task> waiting ABSL_GUARDED_BY(mutex);
};

WorkQueue::WorkQueue(Executor* executor, uint32_t max_parallel)
    : state_(std::make_shared<State>(executor, max_parallel)) {}

WorkQueue::~WorkQueue() { Close(); }

void WorkQueue::Post(Task task) {
  {
    MutexLock lock(&state_->mutex);
    if (state_->closed) return;
    state_->waiting.push_back(std::move(task));
  }
  StartMore(state_);
}

void WorkQueue::Close() {
  std::deque<Task> dropped;
  MutexLock lock(&state_->mutex);
  state_->closed = true;
  dropped.swap(state_->waiting);
  while (state_->running > 0) state_->idle.Wait(&state_->mutex);
}

void WorkQueue::StartMore(const std::shared_ptr<State>& state) {
  {
    MutexLock lock(&state->mutex);
    if (state->closed || state->slots_taken >= state->max_parallel ||
        state->slots_taken >= state->running + state->waiting.size()) {
      return;
    }
    ++state->slots_taken;
  }
  state->executor->Post([state] { RunOne(state); });
}

void WorkQueue::RunOne(const std::shared_ptr<State>& state) {
  Task task;
  {
    MutexLock lock(&state->mutex);
    if (state->closed || state->waiting.empty()) {
      --state->slots_taken;
      return;
    }
    task = std::move(state->waiting.front());
    state->waiting.pop_front();
    ++state->running;
  }
  task();
  task = nullptr;
  {
    MutexLock lock(&state->mutex);
    --state->running;
    --state->slots_taken;
    state->idle.NotifyAll();
  }
  StartMore(state);
}

}  // namespace fedwatt
