#include "common/base/sequential_executor.h"

#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "common/base/mutex.h"

namespace fedwatt {
namespace {

// Tasks that run before the pool's thread goes to somebody else.
constexpr int kBatch = 16;

}  // namespace

// Shared with the closures that wait in the pool, which may outlive the executor.
class SequentialExecutor::State : public std::enable_shared_from_this<State> {
 public:
  explicit State(Executor* pool) : pool_(pool) {}

  void Post(Task task) {
    {
      MutexLock lock(&mutex_);
      if (stopped_) return;
      ready_.push_back(std::move(task));
      if (scheduled_) return;
      scheduled_ = true;
    }
    pool_->Post([self = shared_from_this()] { self->Drain(); });
  }

  uint64_t PostAfter(int64_t delay_ms, Task task) {
    uint64_t id = 0;
    {
      MutexLock lock(&mutex_);
      id = next_id_++;
      if (stopped_) return id;
      timers_.emplace(id, Timer{std::move(task), 0});
    }
    const uint64_t pool_id = pool_->PostAfter(
        delay_ms, [self = shared_from_this(), id] { self->Post([self, id] { self->Fire(id); }); });
    MutexLock lock(&mutex_);
    const auto timer = timers_.find(id);
    if (timer != timers_.end()) timer->second.pool_id = pool_id;
    return id;
  }

  bool Cancel(uint64_t timer_id) {
    Timer dropped;
    {
      MutexLock lock(&mutex_);
      const auto timer = timers_.find(timer_id);
      if (timer == timers_.end()) return false;
      dropped = std::move(timer->second);
      timers_.erase(timer);
    }
    pool_->Cancel(dropped.pool_id);
    return true;
  }

  void Stop() {
    std::deque<Task> dropped_tasks;
    std::map<uint64_t, Timer> dropped_timers;
    {
      MutexLock lock(&mutex_);
      stopped_ = true;
      dropped_tasks.swap(ready_);
      dropped_timers.swap(timers_);
    }
    for (const auto& [id, timer] : dropped_timers) pool_->Cancel(timer.pool_id);
    MutexLock lock(&mutex_);
    while (running_ && runner_ != std::this_thread::get_id()) idle_.Wait(&mutex_);
  }

 private:
  struct Timer {
    Task task;
    uint64_t pool_id = 0;
  };

  void Fire(uint64_t id) {
    Task task;
    {
      MutexLock lock(&mutex_);
      const auto timer = timers_.find(id);
      if (timer == timers_.end()) return;
      task = std::move(timer->second.task);
      timers_.erase(timer);
    }
    task();
  }

  void Drain() {
    for (int i = 0; i < kBatch; ++i) {
      if (!RunOne()) return;
    }
    pool_->Post([self = shared_from_this()] { self->Drain(); });
  }

  // False if there is nothing left, in which case nobody is scheduled any more.
  bool RunOne() {
    Task task;
    {
      MutexLock lock(&mutex_);
      if (ready_.empty()) {
        scheduled_ = false;
        return false;
      }
      task = std::move(ready_.front());
      ready_.pop_front();
      running_ = true;
      runner_ = std::this_thread::get_id();
    }
    task();
    task = nullptr;  // captures are destroyed in the strand too
    MutexLock lock(&mutex_);
    running_ = false;
    idle_.NotifyAll();
    return !stopped_;
  }

  Executor* const pool_;

  Mutex mutex_;
  CondVar idle_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool scheduled_ ABSL_GUARDED_BY(mutex_) = false;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread::id runner_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::deque<Task> ready_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Timer> timers_ ABSL_GUARDED_BY(mutex_);
};

SequentialExecutor::SequentialExecutor(Executor* pool) : state_(std::make_shared<State>(pool)) {}

SequentialExecutor::~SequentialExecutor() { state_->Stop(); }

void SequentialExecutor::Post(Task task) { state_->Post(std::move(task)); }

uint64_t SequentialExecutor::PostAfter(int64_t delay_ms, Task task) {
  return state_->PostAfter(delay_ms, std::move(task));
}

bool SequentialExecutor::Cancel(uint64_t timer_id) { return state_->Cancel(timer_id); }

}  // namespace fedwatt
