#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/base/file.h"
#include "common/crypto/sha256.h"
#include "fedwatt/v1/admin_service.pb.h"
#include "server/driver/grpc_adapter/read_stream.h"

namespace fedwatt {

// An operator's bundle: into a temporary file of the data folder, hashed on the way, then handed to
// the coordinator. The file is removed in every case. INVALID_ARGUMENT: wrong offsets, beyond the
// declared total, another hash. ABORTED: ended early. RESOURCE_EXHAUSTED: the disk is full.
class BundleUploadStream final : public ReadStream<v1::UploadBundleRequest> {
 public:
  static grpc::ServerReadReactor<v1::UploadBundleRequest>* Start(
      const CallDeps& deps, grpc::CallbackServerContext* context,
      v1::UploadBundleResponse* response);

 private:
  BundleUploadStream(const CallDeps& deps, grpc::CallbackServerContext* context,
                     v1::UploadBundleResponse* response)
      : ReadStream(deps, context), response_(response) {}

  void HandleMessage() override;
  void HandleEnd() override;
  void BeforeEnd() override;

  absl::Status Open();
  absl::Status Append();
  absl::Status Complete();

  v1::UploadBundleResponse* const response_;

  std::optional<FileWriter> file_;
  Sha256 hash_;
  Digest declared_{};
  uint64_t total_ = 0;
};

}  // namespace fedwatt
