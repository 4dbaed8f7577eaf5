#include "client/sdk/grpc_transfers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/transport/chunk_size.h"
#include "common/transport/file_message.h"
#include "common/wire/client_wire.h"

namespace fedwatt {
namespace {

constexpr char kUploadMethod[] = "/fedwatt.v1.ClientService/Upload";

// UploadRequest{chunk{offset, data}} up to the data's bytes.
std::string ChunkPrefix(uint64_t offset, uint64_t size) {
  v1::UploadChunk envelope;
  envelope.set_offset(offset);
  std::string chunk = envelope.SerializeAsString();
  AppendFieldHeader(v1::UploadChunk::kDataFieldNumber, size, &chunk);
  std::string message;
  AppendFieldHeader(v1::UploadRequest::kChunkFieldNumber, chunk.size() + size, &message);
  return message + chunk;
}

absl::StatusOr<ReportReply> ParseReply(grpc::ByteBuffer* response) {
  v1::ReportResponse message;
  if (!grpc::SerializationTraits<v1::ReportResponse>::Deserialize(response, &message).ok()) {
    return absl::InternalError("the coordinator's answer to an upload is not a ReportResponse");
  }
  return wire::FromProto(message);
}

}  // namespace

void GrpcDownload::Start(GrpcCalls* calls, std::shared_ptr<GrpcConnection> connection,
                         const Digest& sha256, uint64_t offset, FileWriter file, Done done) {
  auto* const call =
      new GrpcDownload(calls, std::move(connection), std::move(file), std::move(done));
  call->request_.set_sha256(sha256.data(), sha256.size());
  call->request_.set_offset(offset);
  call->connection_->stub->async()->Download(call->context_.get(), &call->request_, call);
  call->StartRead(&call->chunk_);
  call->StartCall();
}

absl::Status GrpcDownload::Take() {
  const uint64_t size = chunk_.data().size();
  const uint64_t total = chunk_.total();
  if (chunk_.offset() != file_.size() || size > bounds::kChunkBytes ||
      total > bounds::kMaxBlobBytes || chunk_.offset() > total || size > total - chunk_.offset() ||
      (result_.total != 0 && total != result_.total) || (size == 0 && chunk_.offset() != total)) {
    return absl::DataLossError(absl::StrCat("the coordinator sent bytes ", chunk_.offset(), " to ",
                                            chunk_.offset() + size, " of ", total, " of a blob; ",
                                            "expected some from ", file_.size(), " on"));
  }
  result_.total = total;
  result_.received += size;
  // While the bytes are in the processor's cache; a download that goes on is hashed from its file.
  if (from_the_start_) hash_.Update(AsBytes(chunk_.data()));
  return file_.Append(AsBytes(chunk_.data()));
}

void GrpcDownload::OnReadDone(bool ok) {
  if (!ok) return;
  result_.status = Take();
  if (result_.status.ok()) {
    StartRead(&chunk_);
  } else {
    context_->TryCancel();
  }
}

void GrpcDownload::OnDone(const grpc::Status& status) {
  const absl::Status ended =
      calls_->EndCall(context_, status, calls_->options().transfer_timeout_ms);
  if (result_.status.ok()) result_.status = ended;
  if (result_.status.ok() && file_.size() != result_.total) {
    result_.status =
        absl::UnavailableError(absl::StrCat(calls_->options().address, " ended a download at ",
                                            file_.size(), " of ", result_.total, " bytes"));
  }
  if (const absl::Status closed = file_.Close(); result_.status.ok()) result_.status = closed;
  if (from_the_start_ && result_.status.ok()) result_.sha256 = hash_.Finish();
  GrpcCalls* const calls = calls_;
  std::move(done_)(std::move(result_));
  delete this;
  calls->RemovePending();
}

void GrpcUpload::Start(GrpcCalls* calls, std::shared_ptr<GrpcConnection> connection,
                       const Report& report, uint64_t offset,
                       std::shared_ptr<const MappedFile> file, Done done) {
  auto* const call = new GrpcUpload(calls, std::move(connection), std::move(file), std::move(done));
  call->offset_ = offset;
  call->end_ = report.update.size;
  v1::UploadRequest header;
  wire::ToProto(report, header.mutable_header()->mutable_report());
  header.mutable_header()->set_offset(offset);
  const grpc::Slice slice(header.SerializeAsString());
  call->message_ = grpc::ByteBuffer(&slice, 1);
  call->connection_->generic_stub.PrepareBidiStreamingCall(call->context_.get(), kUploadMethod,
                                                           grpc::StubOptions(), call);
  call->StartRead(&call->response_);
  call->StartWrite(&call->message_);
  call->StartCall();
}

void GrpcUpload::WriteNext() {
  writing_bytes_ = std::min<uint64_t>(TransferChunkBytes(end_), end_ - offset_);
  if (writing_bytes_ == 0) return StartWritesDone();
  message_ = MessageOverFile(ChunkPrefix(offset_, writing_bytes_), file_, offset_, writing_bytes_);
  offset_ += writing_bytes_;
  if (offset_ == end_) {
    StartWriteLast(&message_, grpc::WriteOptions());
  } else {
    StartWrite(&message_);
  }
}

void GrpcUpload::OnWriteDone(bool ok) {
  // Refused early: the answer or the status says why.
  if (!ok) return;
  sent_bytes_ += writing_bytes_;
  // The last message carried the end of the stream.
  if (writing_bytes_ > 0 && offset_ == end_) return;
  WriteNext();
}

void GrpcUpload::OnReadDone(bool ok) { responded_ = ok; }

void GrpcUpload::OnDone(const grpc::Status& status) {
  const absl::Status ended =
      calls_->EndCall(context_, status, calls_->options().transfer_timeout_ms);
  ClientTransport::UploadResult result;
  result.sent = sent_bytes_;
  if (!ended.ok()) {
    result.reply = ended;
  } else if (responded_) {
    result.reply = ParseReply(&response_);
  } else {
    result.reply = absl::InternalError("the coordinator ended an upload without an answer");
  }
  GrpcCalls* const calls = calls_;
  std::move(done_)(std::move(result));
  delete this;
  calls->RemovePending();
}

}  // namespace fedwatt
