#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fedwatt/v1/client_service.pb.h"
#include "server/driver/grpc_adapter/read_stream.h"

namespace fedwatt {

// One upload: the header, then chunks in order. At most one chunk is in memory, and only after the
// budget had room for it. Errors, each ending only this call:
//   INVALID_ARGUMENT    no header, a second one, a chunk above 1 MiB, empty, at the wrong offset,
//   or
//                       beyond the declared size; chunks are checked before they reach the spool
//   ABORTED             the stream ended early: ask UploadStatus and go on
//   RESOURCE_EXHAUSTED  no room in the budget for upload_wait_ms; carries a retry time
//   DEADLINE_EXCEEDED   silent for stream_idle_ms
// and those of the coordinator.
class UploadStream final : public ReadStream<v1::UploadRequest> {
 public:
  static grpc::ServerReadReactor<v1::UploadRequest>* Start(const CallDeps& deps,
                                                           grpc::CallbackServerContext* context,
                                                           v1::ReportResponse* response);

  ~UploadStream() override;

  void OnCancel() override;

 private:
  UploadStream(const CallDeps& deps, grpc::CallbackServerContext* context,
               v1::ReportResponse* response)
      : ReadStream(deps, context), response_(response) {}

  void HandleMessage() override;
  void HandleEnd() override;
  void BeforeEnd() override;

  void ReserveAndRead(uint64_t bytes);
  void GiveUpWaiting(uint64_t ticket, const absl::Status& status);
  void ReleaseReserved();

  void HandleHeader();
  void HandleChunk();
  absl::Status CheckChunk(const v1::UploadChunk& chunk) const;
  void Answer(absl::StatusOr<ReportReply> reply);

  v1::ReportResponse* const response_;

  // Of the party in charge.
  std::optional<Principal> who_;
  std::string assignment_id_;
  uint64_t declared_bytes_ = 0;
  std::unique_ptr<UploadSession> session_;

  std::atomic<uint64_t> reserved_bytes_{0};
  std::atomic<uint64_t> ticket_{0};  // in the budget's queue; 0: not waiting
  std::atomic<bool> cancelled_{false};
};

}  // namespace fedwatt
