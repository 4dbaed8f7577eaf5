#include "server/driver/grpc_adapter/bundle_upload_stream.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "server/driver/grpc_adapter/scratch_file.h"

namespace fedwatt {

grpc::ServerReadReactor<v1::UploadBundleRequest>* BundleUploadStream::Start(
    const CallDeps& deps, grpc::CallbackServerContext* context,
    v1::UploadBundleResponse* response) {
  std::shared_ptr<BundleUploadStream> stream(new BundleUploadStream(deps, context, response));
  stream->Begin();
  const absl::StatusOr<Principal> who = Admit(deps, *context, RequireOperator, "adding a bundle");
  if (who.ok()) {
    stream->Read();
  } else {
    stream->End(who.status());
  }
  return stream.get();
}

absl::Status BundleUploadStream::Open() {
  total_ = request_.total();
  if (total_ == 0 || total_ > bounds::kMaxBlobBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a bundle of ", total_, " bytes; legal are 1 to ", bounds::kMaxBlobBytes));
  }
  if (request_.sha256().size() != declared_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the first message's sha256 has ",
                                                   request_.sha256().size(), " bytes instead of ",
                                                   declared_.size()));
  }
  std::copy(request_.sha256().begin(), request_.sha256().end(), declared_.begin());
  FW_ASSIGN_OR_RETURN(const std::string path, NewScratchPath(deps_.data_dir, "bundle"));
  FW_ASSIGN_OR_RETURN(file_, FileWriter::Create(path, 0600));
  return absl::OkStatus();
}

absl::Status BundleUploadStream::Append() {
  if (!file_.has_value()) FW_RETURN_IF_ERROR(Open());
  const uint64_t size = request_.data().size();
  if (size == 0 || request_.offset() != file_->size() || size > total_ - file_->size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("bundle bytes ", request_.offset(), " to ", request_.offset() + size,
                     "; expected some from ", file_->size(),
                     " on, and none beyond the declared total of ", total_));
  }
  hash_.Update(AsBytes(request_.data()));
  return file_->Append(AsBytes(request_.data()));
}

void BundleUploadStream::HandleMessage() {
  if (const absl::Status status = Append(); !status.ok()) return End(status);
  Read();
}

absl::Status BundleUploadStream::Complete() {
  if (context_->IsCancelled()) return absl::CancelledError("the peer went away");
  const uint64_t held = file_.has_value() ? file_->size() : 0;
  if (held == 0 || held < total_) {
    return absl::AbortedError(
        absl::StrCat("the bundle ended at ", held, " of ", total_, " bytes; send it again"));
  }
  if (const Digest actual = hash_.Finish(); actual != declared_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the bundle's bytes have the SHA-256 ", DigestHex(actual), ", announced was ",
        DigestHex(declared_), "; it was changed on the way or while it was read: send it again"));
  }
  FW_RETURN_IF_ERROR(file_->Close());
  Digest sha256{};
  FW_ASSIGN_OR_RETURN(const std::string name, deps_.coordinator->AddBundle(file_->path(), &sha256));
  response_->set_name(name);
  response_->set_sha256(sha256.data(), sha256.size());
  return absl::OkStatus();
}

void BundleUploadStream::HandleEnd() { End(Complete()); }

void BundleUploadStream::BeforeEnd() {
  if (!file_.has_value()) return;
  const absl::Status removed = RemoveIfExists(file_->path());
  if (!removed.ok()) LogWarning("temporary file stays", {{"error", StatusText(removed)}});
}

}  // namespace fedwatt
