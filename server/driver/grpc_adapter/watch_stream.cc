#include "server/driver/grpc_adapter/watch_stream.h"

#include <utility>

#include "common/wire/admin_wire.h"

namespace fedwatt {
namespace {

constexpr size_t kMaxQueuedEvents = 1024;

}  // namespace

grpc::ServerWriteReactor<v1::JobEvent>* WatchStream::Start(const CallDeps& deps,
                                                           grpc::CallbackServerContext* context,
                                                           const v1::WatchJobRequest& request) {
  std::shared_ptr<WatchStream> stream(new WatchStream(deps, context));
  stream->self_ = stream;
  const absl::StatusOr<Principal> who = Admit(deps, *context, RequireOperator, "watching a job");
  if (who.ok()) {
    deps.executor->Post([stream, job = request.job(), after = request.after_sequence()] {
      stream->Begin(job, after);
    });
  } else {
    stream->EndWith(who.status());
  }
  return stream.get();
}

void WatchStream::Begin(const std::string& job, uint64_t after_sequence) {
  // Weak: the coordinator may keep the callback longer than the peer keeps the call.
  const absl::StatusOr<uint64_t> id = deps_.coordinator->WatchJob(
      job, after_sequence, [weak = weak_from_this()](const JobUpdate& update, bool last) {
        const std::shared_ptr<WatchStream> self = weak.lock();
        if (self != nullptr) self->Add(update, last);
      });
  if (!id.ok()) return EndWith(id.status());
  bool done = false;
  {
    MutexLock lock(&mutex_);
    watch_id_ = *id;
    done = done_;
  }
  if (done) deps_.coordinator->Unwatch(*id);
}

void WatchStream::Add(const JobUpdate& update, bool last) {
  v1::JobEvent event;
  event.set_sequence(update.sequence);
  wire::ToProto(update.job, event.mutable_job());
  if (update.committed.has_value()) wire::ToProto(*update.committed, event.mutable_committed());
  {
    MutexLock lock(&mutex_);
    if (ending_) return;
    if (!queue_.empty() && !queue_.back().has_committed()) queue_.pop_back();
    if (queue_.size() < kMaxQueuedEvents) {
      queue_.push_back(std::move(event));
      ending_ = last;
    } else {
      ending_ = true;
      status_ = absl::ResourceExhaustedError(
          "the watcher reads too slowly; watch again after the last sequence number received");
    }
  }
  Pump();
}

void WatchStream::EndWith(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    if (!ending_) status_ = status;
    ending_ = true;
  }
  Pump();
}

void WatchStream::Pump() {
  absl::Status status;
  bool finish = false;
  {
    MutexLock lock(&mutex_);
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      current_ = std::move(queue_.front());
      queue_.pop_front();
      writing_ = true;
    } else if (ending_) {
      finish = finished_ = true;
      status = status_;
    } else {
      return;
    }
  }
  // Outside of the lock: gRPC may call back from inside.
  if (finish) {
    Finish(ToGrpcStatus(status, context_));
  } else {
    StartWrite(&current_);
  }
}

void WatchStream::OnWriteDone(bool ok) {
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) {
      queue_.clear();
      if (!ending_) status_ = absl::CancelledError("the watcher went away");
      ending_ = true;
    }
  }
  Pump();
}

void WatchStream::OnCancel() {
  {
    MutexLock lock(&mutex_);
    queue_.clear();
  }
  EndWith(absl::CancelledError("the watcher went away"));
}

void WatchStream::OnDone() {
  const std::shared_ptr<WatchStream> last = std::move(self_);
  uint64_t id = 0;
  {
    MutexLock lock(&mutex_);
    done_ = true;
    id = watch_id_;
  }
  if (id != 0) deps_.coordinator->Unwatch(id);
}

}  // namespace fedwatt
