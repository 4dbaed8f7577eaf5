#include "client/capi/callback_thread.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"

namespace fedwatt {
namespace {

constexpr int64_t kLookUs = 50'000;

}  // namespace

void Activity::Enter(const char* what, int64_t limit_ms) {
  Alive();
  what_ = what;
  limit_ms_ = limit_ms;
  inside_ = true;
}

void Activity::Leave() {
  inside_ = false;
  Alive();
  what_ = outer_;
  limit_ms_ = outer_limit_ms_;
}

void Activity::Begin(const char* what, int64_t limit_ms) {
  outer_ = what;
  outer_limit_ms_ = limit_ms;
  Leave();
}

absl::Status Activity::Check() const {
  const int64_t limit_ms = limit_ms_;
  if ((clock_->MonotonicUs() - since_us_) / 1000 <= limit_ms) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat(what_.load(), " has not come back, nor given a sign of life, for ", limit_ms,
                   " ms; the client goes on without it"));
}

absl::Status Activity::CheckCancelled() {
  const int64_t now_us = clock_->MonotonicUs();
  if (cancelled_us_ < 0) cancelled_us_ = now_us;
  if (!inside_ || now_us - cancelled_us_ < kCancelledMs * 1000) return Check();
  return absl::CancelledError(
      absl::StrCat("cancelled; ", what_.load(), " has not come back, and nobody waits for it"));
}

struct CallbackThread::State {
  Mutex mutex;
  CondVar changed;
  std::function<void()> work ABSL_GUARDED_BY(mutex);
  bool busy ABSL_GUARDED_BY(mutex) = false;
  bool quit ABSL_GUARDED_BY(mutex) = false;
};

CallbackThread::CallbackThread() : state_(std::make_shared<State>()) {}

CallbackThread::~CallbackThread() {
  bool hung = false;
  {
    MutexLock lock(&state_->mutex);
    state_->quit = true;
    hung = state_->busy;
  }
  state_->changed.NotifyAll();
  if (!thread_.joinable()) return;
  if (hung) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void CallbackThread::Work(const std::shared_ptr<State>& state) {
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(&state->mutex);
      while (!state->work && !state->quit) state->changed.Wait(&state->mutex);
      if (!state->work) return;
      work = std::exchange(state->work, nullptr);
    }
    work();
    work = nullptr;  // what it holds goes before anybody is told
    MutexLock lock(&state->mutex);
    state->busy = false;
    state->changed.NotifyAll();
  }
}

absl::Status CallbackThread::Run(std::function<void()> work,
                                 const std::function<absl::Status()>& look) {
  MutexLock lock(&state_->mutex);
  if (state_->busy) {
    return absl::FailedPreconditionError(
        "an earlier call of the app's trainer or data source has still not come back");
  }
  if (!thread_.joinable()) thread_ = std::thread([state = state_] { Work(state); });
  state_->work = std::move(work);
  state_->busy = true;
  state_->changed.NotifyAll();
  while (state_->busy) {
    if (state_->changed.WaitFor(&state_->mutex, kLookUs)) continue;
    if (absl::Status over = look(); !over.ok()) return over;
  }
  return absl::OkStatus();
}

bool CallbackThread::hangs() const {
  MutexLock lock(&state_->mutex);
  return state_->busy;
}

bool CallbackThread::IsCurrent() const { return thread_.get_id() == std::this_thread::get_id(); }

}  // namespace fedwatt
