#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/driver/grpc_adapter/call_deps.h"

namespace fedwatt {

// The skeleton of a call that receives a stream: one message at a time is read, then handled on the
// executor. Exactly one party is in charge at any moment (the read, the handler, or whoever ends
// the call), handed over by `state_`; hence handlers need no lock.
//
// A subclass calls Begin once, and from then on ends every path in Read, or End, exactly once.
template <typename Request>
class ReadStream : public grpc::ServerReadReactor<Request>,
                   public std::enable_shared_from_this<ReadStream<Request>> {
 public:
  // Part of gRPC's interface; not for subclasses.
  void OnReadDone(bool ok) final {
    State expected = State::kReading;
    if (!state_.compare_exchange_strong(expected, State::kHandling))
      return;  // the watchdog ended it
    deps_.executor->Post([self = this->shared_from_this(), ok] {
      if (ok) {
        self->HandleMessage();
      } else {
        self->HandleEnd();
      }
    });
  }

  void OnDone() final { const std::shared_ptr<ReadStream> last = std::move(self_); }

 protected:
  ReadStream(const CallDeps& deps, grpc::CallbackServerContext* context)
      : deps_(deps), context_(context), memory_(deps.memory) {}

  // Keeps the stream alive until gRPC is done with it, and starts to watch for a silent peer.
  void Begin() {
    self_ = this->shared_from_this();
    Watch(0);
  }

  void Read() {
    reads_.fetch_add(1);
    state_.store(State::kReading);
    request_.Clear();
    this->StartRead(&request_);
  }

  void End(const absl::Status& status) {
    state_.store(State::kEnded);
    BeforeEnd();
    this->Finish(ToGrpcStatus(status, context_));
  }

  // `request_` holds a message.
  virtual void HandleMessage() = 0;
  // The peer sent its last message, or went away (context_->IsCancelled()).
  virtual void HandleEnd() = 0;
  // Gives back what the stream holds.
  virtual void BeforeEnd() {}

  const CallDeps& deps_;
  grpc::CallbackServerContext* const context_;
  Request request_;

 private:
  enum class State { kHandling, kReading, kEnded };

  // Ends the call if the read that was pending a whole period ago still is.
  void Watch(uint64_t seen) {
    deps_.executor->PostAfter(deps_.stream_idle_ms, [weak = this->weak_from_this(), seen] {
      const std::shared_ptr<ReadStream> self = weak.lock();
      if (self == nullptr || self->state_.load() == State::kEnded) return;
      const uint64_t reads = self->reads_.load();
      State expected = State::kReading;
      if (reads == seen && self->state_.compare_exchange_strong(expected, State::kEnded)) {
        self->End(absl::DeadlineExceededError(
            absl::StrCat("nothing arrived for ", self->deps_.stream_idle_ms,
                         " ms; connect again and go on where you stopped")));
        return;
      }
      self->Watch(reads);
    });
  }

  const TransportMemory::Call memory_;
  std::atomic<State> state_{State::kHandling};
  std::atomic<uint64_t> reads_{0};
  std::shared_ptr<ReadStream> self_;  // from Begin to OnDone
};

}  // namespace fedwatt
