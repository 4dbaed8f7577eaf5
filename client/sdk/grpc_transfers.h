#pragma once

// The two streaming calls of GrpcTransport. Each object owns itself from Start to its callback.

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "client/sdk/grpc_connection.h"
#include "client/sdk/transport.h"
#include "common/base/file.h"

namespace fedwatt {

// Appends the chunks of a blob to a file as they arrive.
class GrpcDownload final : public grpc::ClientReadReactor<v1::DownloadChunk> {
 public:
  using Done = absl::AnyInvocable<void(ClientTransport::DownloadResult)>;

  // `file` holds `offset` bytes.
  static void Start(GrpcCalls* calls, std::shared_ptr<GrpcConnection> connection,
                    const Digest& sha256, uint64_t offset, FileWriter file, Done done);

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  GrpcDownload(GrpcCalls* calls, std::shared_ptr<GrpcConnection> connection, FileWriter file,
               Done done)
      : calls_(calls),
        connection_(std::move(connection)),
        context_(calls->BeginCall(calls->options().transfer_timeout_ms)),
        file_(std::move(file)),
        from_the_start_(file_.size() == 0),
        done_(std::move(done)) {}

  absl::Status Take();

  GrpcCalls* const calls_;
  const std::shared_ptr<GrpcConnection> connection_;
  const std::shared_ptr<grpc::ClientContext> context_;
  FileWriter file_;
  const bool from_the_start_;
  Sha256 hash_;
  Done done_;
  v1::DownloadRequest request_;
  v1::DownloadChunk chunk_;
  ClientTransport::DownloadResult result_;
};

// Sends a part of a file as chunks that refer to its mapping. The messages are encoded by hand
// around the file's bytes, hence the generic stub.
class GrpcUpload final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  using Done = absl::AnyInvocable<void(ClientTransport::UploadResult)>;

  // `file` has at least report.update.size bytes. An `offset` equal to that sends only the report,
  // for an upload whose answer was lost.
  static void Start(GrpcCalls* calls, std::shared_ptr<GrpcConnection> connection,
                    const Report& report, uint64_t offset, std::shared_ptr<const MappedFile> file,
                    Done done);

  void OnWriteDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  GrpcUpload(GrpcCalls* calls, std::shared_ptr<GrpcConnection> connection,
             std::shared_ptr<const MappedFile> file, Done done)
      : calls_(calls),
        connection_(std::move(connection)),
        context_(calls->BeginCall(calls->options().transfer_timeout_ms)),
        file_(std::move(file)),
        done_(std::move(done)) {}

  void WriteNext();

  GrpcCalls* const calls_;
  const std::shared_ptr<GrpcConnection> connection_;
  const std::shared_ptr<grpc::ClientContext> context_;
  const std::shared_ptr<const MappedFile> file_;
  Done done_;
  uint64_t offset_ = 0;
  uint64_t end_ = 0;
  uint64_t writing_bytes_ = 0;  // of the update, in the message under way
  uint64_t sent_bytes_ = 0;
  grpc::ByteBuffer message_;
  grpc::ByteBuffer response_;
  bool responded_ = false;
};

}  // namespace fedwatt
