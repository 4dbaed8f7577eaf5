#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/transport/authenticator.h"
#include "server/driver/grpc_adapter/call_deps.h"

namespace fedwatt {

// Streams a mapped file as DownloadChunk messages. The messages are put together from a few encoded
// bytes and a reference into the mapping, so that a model is never copied into this process'
// memory, however many clients fetch it.
class FileStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  struct Source {
    std::shared_ptr<const MappedFile> file;
    uint64_t offset = 0;
  };
  // Runs on the executor: may block.
  using OpenSource = std::function<absl::StatusOr<Source>(const Principal& who)>;

  // The stream owns itself until it is done.
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const CallDeps& deps,
                                                           grpc::CallbackServerContext* context,
                                                           RoleCheck allowed,
                                                           const std::string& what,
                                                           OpenSource open);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  FileStream(const CallDeps& deps, grpc::CallbackServerContext* context)
      : memory_(deps.memory), context_(context) {}

  void Begin(absl::StatusOr<Source> source);
  void WriteNext();

  const TransportMemory::Call memory_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<const MappedFile> file_;
  uint64_t offset_ = 0;
  grpc::ByteBuffer message_;
};

// A serialized DownloadChunk whose data are `file`'s bytes from `offset`, by reference.
grpc::ByteBuffer EncodeDownloadChunk(const std::shared_ptr<const MappedFile>& file, uint64_t offset,
                                     uint64_t size);

}  // namespace fedwatt
