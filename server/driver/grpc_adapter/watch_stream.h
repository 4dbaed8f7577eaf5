#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "fedwatt/v1/admin_service.pb.h"
#include "server/driver/grpc_adapter/call_deps.h"

namespace fedwatt {

// One watcher of one job. To a peer that reads slowly, snapshots in between are skipped; events
// with a committed round are kept, up to a bound, then the call ends with RESOURCE_EXHAUSTED and
// can be taken up again after the last sequence number received.
class WatchStream final : public grpc::ServerWriteReactor<v1::JobEvent>,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  static grpc::ServerWriteReactor<v1::JobEvent>* Start(const CallDeps& deps,
                                                       grpc::CallbackServerContext* context,
                                                       const v1::WatchJobRequest& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WatchStream(const CallDeps& deps, grpc::CallbackServerContext* context)
      : deps_(deps), memory_(deps.memory), context_(context) {}

  void Begin(const std::string& job, uint64_t after_sequence);
  void Add(const JobUpdate& update, bool last);
  void EndWith(const absl::Status& status);
  // Writes the next event or finishes, if neither is under way.
  void Pump();

  const CallDeps& deps_;
  const TransportMemory::Call memory_;
  grpc::CallbackServerContext* const context_;
  v1::JobEvent current_;               // being written
  std::shared_ptr<WatchStream> self_;  // until OnDone

  Mutex mutex_;
  std::deque<v1::JobEvent> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;  // once the queue is empty, with `status_`
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  uint64_t watch_id_ ABSL_GUARDED_BY(mutex_) = 0;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace fedwatt
