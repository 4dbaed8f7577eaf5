#include "server/driver/grpc_adapter/file_stream.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/transport/chunk_size.h"
#include "common/transport/file_message.h"
#include "fedwatt/v1/client_service.pb.h"

namespace fedwatt {
grpc::ByteBuffer EncodeDownloadChunk(const std::shared_ptr<const MappedFile>& file, uint64_t offset,
                                     uint64_t size) {
  v1::DownloadChunk envelope;
  envelope.set_offset(offset);
  envelope.set_total(file->bytes().size());
  std::string prefix = envelope.SerializeAsString();
  if (size > 0) AppendFieldHeader(v1::DownloadChunk::kDataFieldNumber, size, &prefix);
  return MessageOverFile(prefix, file, offset, size);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* FileStream::Start(const CallDeps& deps,
                                                              grpc::CallbackServerContext* context,
                                                              RoleCheck allowed,
                                                              const std::string& what,
                                                              OpenSource open) {
  auto* const stream = new FileStream(deps, context);
  const absl::StatusOr<Principal> who = Admit(deps, *context, allowed, what);
  if (!who.ok()) {
    stream->Begin(who.status());
    return stream;
  }
  deps.executor->Post([stream, who = *who, open = std::move(open)] { stream->Begin(open(who)); });
  return stream;
}

void FileStream::Begin(absl::StatusOr<Source> source) {
  if (!source.ok()) return Finish(ToGrpcStatus(source.status(), context_));
  file_ = std::move(source->file);
  offset_ = source->offset;
  const uint64_t total = file_->bytes().size();
  if (offset_ > total) {
    return Finish(ToGrpcStatus(
        absl::OutOfRangeError(absl::StrCat("offset ", offset_, " is beyond the blob's ", total,
                                           " bytes; drop what you hold and start at 0"))));
  }
  // Also an empty rest gets one message: it tells the total.
  WriteNext();
}

void FileStream::WriteNext() {
  const uint64_t total = file_->bytes().size();
  const uint64_t size = std::min(TransferChunkBytes(total), total - offset_);
  message_ = EncodeDownloadChunk(file_, offset_, size);
  offset_ += size;
  if (offset_ == total) {
    StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
  } else {
    StartWrite(&message_);
  }
}

void FileStream::OnWriteDone(bool ok) {
  if (!ok) return Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the peer went away"));
  WriteNext();
}

}  // namespace fedwatt
