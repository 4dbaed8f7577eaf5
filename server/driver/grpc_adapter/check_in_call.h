#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "fedwatt/v1/client_service.pb.h"
#include "server/driver/grpc_adapter/call_deps.h"

namespace fedwatt {

// One long poll. When the peer goes away, the coordinator is told, so that it assigns nothing to a
// caller who cannot hear it.
class CheckInCall final : public grpc::ServerUnaryReactor {
 public:
  // The call owns itself until it is done.
  static grpc::ServerUnaryReactor* Start(const CallDeps& deps, grpc::CallbackServerContext* context,
                                         const v1::CheckInRequest& request,
                                         v1::CheckInResponse* response);

  void OnCancel() override;
  void OnDone() override;

 private:
  CheckInCall(const CallDeps& deps, grpc::CallbackServerContext* context,
              v1::CheckInResponse* response)
      : deps_(deps), memory_(deps.memory), context_(context), response_(response) {}

  void Begin(const v1::CheckInRequest& request);
  void Answer(absl::StatusOr<CheckInResponse> answer);

  const CallDeps& deps_;
  const TransportMemory::Call memory_;
  grpc::CallbackServerContext* const context_;
  v1::CheckInResponse* const response_;

  std::shared_ptr<CheckInCall> self_;  // until OnDone

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t id_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: not yet known
};

}  // namespace fedwatt
