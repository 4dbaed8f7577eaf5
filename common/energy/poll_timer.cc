#include "common/energy/poll_timer.h"

#include <thread>
#include <utility>

#include "common/base/mutex.h"

namespace fedwatt {
namespace {

class ThreadPollTimer final : public PollTimer {
 public:
  ThreadPollTimer(int64_t period_us, std::function<void()> poll)
      : period_us_(period_us), poll_(std::move(poll)), thread_([this] { Loop(); }) {}

  ~ThreadPollTimer() override {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
    }
    changed_.NotifyAll();
    thread_.join();
  }

  void Resume() override {
    {
      MutexLock lock(&mutex_);
      running_ = true;
    }
    changed_.NotifyAll();
  }

  void Pause() override {
    MutexLock lock(&mutex_);
    running_ = false;  // the thread finds out when it wakes: windows may be far shorter than that
  }

 private:
  void Loop() {
    while (WaitForTurn()) poll_();
  }

  // True: a period has passed while running. False: the end.
  bool WaitForTurn() {
    MutexLock lock(&mutex_);
    while (!stopping_) {
      if (!running_) {
        changed_.Wait(&mutex_);
      } else if (!changed_.WaitFor(&mutex_, period_us_) && running_ && !stopping_) {
        return true;
      }
    }
    return false;
  }

  const int64_t period_us_;
  const std::function<void()> poll_;
  Mutex mutex_;
  CondVar changed_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace

std::unique_ptr<PollTimer> StartThreadPollTimer(int64_t period_us, std::function<void()> poll) {
  return std::make_unique<ThreadPollTimer>(period_us, std::move(poll));
}

}  // namespace fedwatt
