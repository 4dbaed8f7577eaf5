#include "server/driver/grpc_adapter/upload_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/transport/retry_after.h"
#include "common/wire/client_wire.h"

namespace fedwatt {
namespace {

// A header is a report: metrics, energy samples, no tensors.
constexpr uint64_t kHeaderBytes = 64 * 1024;

}  // namespace

grpc::ServerReadReactor<v1::UploadRequest>* UploadStream::Start(
    const CallDeps& deps, grpc::CallbackServerContext* context, v1::ReportResponse* response) {
  std::shared_ptr<UploadStream> stream(new UploadStream(deps, context, response));
  stream->Begin();
  absl::StatusOr<Principal> who = Admit(deps, *context, RequireDevice, "uploading an update");
  if (who.ok()) {
    stream->who_ = *std::move(who);
    stream->ReserveAndRead(kHeaderBytes);
  } else {
    stream->End(who.status());
  }
  return stream.get();
}

UploadStream::~UploadStream() { ReleaseReserved(); }

void UploadStream::ReserveAndRead(uint64_t bytes) {
  if (bytes == 0) return Read();
  const auto self = std::static_pointer_cast<UploadStream>(shared_from_this());
  const uint64_t ticket = deps_.budget->Reserve(bytes, [self, bytes] {
    self->ticket_.store(0);
    self->reserved_bytes_.store(bytes);
    self->Read();
  });
  if (ticket == 0) {
    reserved_bytes_.store(bytes);
    return Read();
  }
  deps_.executor->PostAfter(deps_.upload_wait_ms, [weak = weak_from_this(), ticket] {
    const auto waiting = std::static_pointer_cast<UploadStream>(weak.lock());
    if (waiting == nullptr) return;
    waiting->GiveUpWaiting(
        ticket, WithRetryAfter(absl::ResourceExhaustedError(
                                   absl::StrCat("the coordinator's memory for uploads in flight (",
                                                HumanBytes(waiting->deps_.budget->limit_bytes()),
                                                ") was full for ", waiting->deps_.upload_wait_ms,
                                                " ms; try again and go on where you stopped")),
                               waiting->deps_.upload_wait_ms));
  });
  // The grant may have come in between; then this ticket is stale, and cancelling it does nothing.
  ticket_.store(ticket);
  if (cancelled_.load()) GiveUpWaiting(ticket, absl::CancelledError("the peer went away"));
}

void UploadStream::GiveUpWaiting(uint64_t ticket, const absl::Status& status) {
  // Whoever takes the ticket out of the queue is in charge.
  if (ticket != 0 && deps_.budget->Cancel(ticket)) End(status);
}

void UploadStream::OnCancel() {
  cancelled_.store(true);
  GiveUpWaiting(ticket_.load(), absl::CancelledError("the peer went away"));
}

void UploadStream::ReleaseReserved() {
  const uint64_t bytes = reserved_bytes_.exchange(0);
  if (bytes > 0) deps_.budget->Release(bytes);
}

void UploadStream::BeforeEnd() {
  request_.Clear();
  ReleaseReserved();
}

void UploadStream::HandleMessage() {
  switch (request_.part_case()) {
    case v1::UploadRequest::kHeader:
      return HandleHeader();
    case v1::UploadRequest::kChunk:
      return HandleChunk();
    case v1::UploadRequest::PART_NOT_SET:
      return End(absl::InvalidArgumentError("an upload message with neither header nor chunk"));
  }
}

void UploadStream::HandleHeader() {
  if (session_ != nullptr) {
    return End(absl::InvalidArgumentError("a second upload header; one stream carries one update"));
  }
  absl::StatusOr<Report> report = wire::FromProto(request_.header().report());
  if (!report.ok()) return End(report.status());
  if (report->update.size == 0 || !report->update.inline_data.empty()) {
    return End(absl::InvalidArgumentError(
        "an upload's report declares size and hash of the update that follows; without an update, "
        "or with one inline, call Report"));
  }
  assignment_id_ = report->assignment_id;
  declared_bytes_ = report->update.size;
  const uint64_t offset = request_.header().offset();
  absl::StatusOr<Coordinator::UploadStart> start =
      deps_.coordinator->StartUpload(*who_, *std::move(report), offset);
  if (!start.ok()) return End(start.status());
  if (start->refused.has_value()) return Answer(*std::move(start->refused));
  session_ = std::move(start->session);
  if (session_->offset() != offset) {
    return End(absl::AbortedError(absl::StrCat("the upload of ", assignment_id_, " goes on at ",
                                               session_->offset(), ", not at ", offset,
                                               "; ask UploadStatus")));
  }
  ReleaseReserved();
  ReserveAndRead(std::min<uint64_t>(bounds::kChunkBytes, declared_bytes_ - offset));
}

absl::Status UploadStream::CheckChunk(const v1::UploadChunk& chunk) const {
  const uint64_t size = chunk.data().size();
  if (size == 0 || size > bounds::kChunkBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a chunk of ", size, " bytes; legal are 1 to ", bounds::kChunkBytes));
  }
  if (chunk.offset() != session_->offset()) {
    return absl::InvalidArgumentError(absl::StrCat("a chunk at offset ", chunk.offset(),
                                                   "; the upload of ", assignment_id_,
                                                   " goes on at ", session_->offset()));
  }
  if (size > declared_bytes_ - session_->offset()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the chunk at offset ", chunk.offset(), " ends at ", chunk.offset() + size,
                     ", beyond the declared size of ", declared_bytes_, " bytes"));
  }
  return absl::OkStatus();
}

void UploadStream::HandleChunk() {
  if (session_ == nullptr) {
    return End(absl::InvalidArgumentError("a chunk before the header; send the header first"));
  }
  const v1::UploadChunk& chunk = request_.chunk();
  absl::Status status = CheckChunk(chunk);
  if (status.ok()) status = session_->Append(chunk.offset(), AsBytes(chunk.data()));
  if (!status.ok()) return End(status);
  request_.Clear();
  // Returned before it is asked for again: streams that wait get their turn.
  ReleaseReserved();
  ReserveAndRead(std::min<uint64_t>(bounds::kChunkBytes, declared_bytes_ - session_->offset()));
}

void UploadStream::HandleEnd() {
  if (context_->IsCancelled()) return End(absl::CancelledError("the peer went away"));
  if (session_ == nullptr) {
    return End(absl::InvalidArgumentError("an upload without a header; send the header first"));
  }
  if (session_->offset() < declared_bytes_) {
    return End(absl::AbortedError(absl::StrCat("the upload of ", assignment_id_, " ended at ",
                                               session_->offset(), " of ", declared_bytes_,
                                               " bytes; ask UploadStatus and send the rest")));
  }
  const auto self = std::static_pointer_cast<UploadStream>(shared_from_this());
  session_->Finish([self](absl::StatusOr<ReportReply> reply) { self->Answer(std::move(reply)); });
}

void UploadStream::Answer(absl::StatusOr<ReportReply> reply) {
  if (reply.ok()) wire::ToProto(*reply, response_);
  End(reply.status());
}

}  // namespace fedwatt
