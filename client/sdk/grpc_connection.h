#pragma once

// The connection behind GrpcTransport: made when first needed, dropped when it fails or sleeps.

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/grpc_transport.h"
#include "common/base/mutex.h"
#include "fedwatt/v1/client_service.grpc.pb.h"

namespace fedwatt {

// One channel and its stubs. Calls under way hold it.
struct GrpcConnection {
  explicit GrpcConnection(const std::shared_ptr<grpc::Channel>& channel)
      : stub(v1::ClientService::NewStub(channel)), generic_stub(channel) {}

  std::unique_ptr<v1::ClientService::Stub> stub;
  grpc::GenericStub generic_stub;
};

// The calls of one transport. Thread-safe.
class GrpcCalls {
 public:
  // `executor` destroys connections and contexts.
  GrpcCalls(GrpcTransportOptions options, const Clock* clock, Executor* executor)
      : options_(std::move(options)), clock_(clock), executor_(executor) {}

  const GrpcTransportOptions& options() const { return options_; }

  // The connection, made if there is none; the errors of LoadTlsIdentity.
  absl::StatusOr<std::shared_ptr<GrpcConnection>> Connect();

  // Drops the connection; calls under way keep theirs.
  void Disconnect();

  // A context with deadline and, in insecure mode, the caller's name; registered until EndCall.
  std::shared_ptr<grpc::ClientContext> BeginCall(int64_t timeout_ms);

  // The call's status for people. A broken connection is dropped, so that the next call makes a
  // new one. Call once for each BeginCall, as the last use of this object but `finish`.
  absl::Status EndCall(const std::shared_ptr<grpc::ClientContext>& context,
                       const grpc::Status& status, int64_t timeout_ms);

  // Counts a callback that is still to run, so that WaitUntilIdle waits for it.
  void AddPending();
  void RemovePending();

  void CancelAll();
  void WaitUntilIdle();

 private:
  using Spent = std::vector<std::unique_ptr<grpc::ClientContext>>;

  absl::Status Explain(const absl::Status& status, bool cancelled_here, int64_t timeout_ms) const;
  // The last user of a context is done with it.
  void Retire(std::unique_ptr<grpc::ClientContext> context);

  const GrpcTransportOptions options_;
  const Clock* const clock_;
  Executor* const executor_;

  Mutex mutex_;
  CondVar idle_;
  std::shared_ptr<GrpcConnection> connection_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<grpc::ClientContext>> calls_ ABSL_GUARDED_BY(mutex_);
  std::set<const grpc::ClientContext*> cancelled_ ABSL_GUARDED_BY(mutex_);
  Spent spent_ ABSL_GUARDED_BY(mutex_);  // of connection_
  int pending_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fedwatt
