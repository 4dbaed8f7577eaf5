#include "server/cli/admin_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/crypto/sha256.h"
#include "common/transport/authenticator.h"
#include "common/transport/grpc_status.h"

namespace fedwatt::cli {
namespace {

constexpr int64_t kUnaryTimeoutMs = 30'000;

absl::Status Humanise(const grpc::Status& status, const grpc::ClientContext& context,
                      const std::string& server) {
  const absl::Status plain = FromGrpcStatus(status, context);
  if (absl::IsUnavailable(plain)) {
    return absl::UnavailableError(absl::StrCat("cannot reach a coordinator at ", server, " (",
                                               std::string(plain.message()), ")"));
  }
  return plain;
}

}  // namespace

// A context with our metadata; Cancel reaches it from a signal's thread.
class AdminClient::Call {
 public:
  Call(bool insecure, int64_t timeout_ms) {
    if (insecure) {
      context.AddMetadata(kSubjectMetadataKey, "operator");
      context.AddMetadata(kRoleMetadataKey, "operator");
    }
    if (timeout_ms > 0) {
      context.set_deadline(gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    }
  }
  grpc::ClientContext context;
};

AdminClient::AdminClient(std::shared_ptr<grpc::Channel> channel, std::string server, bool insecure)
    : server_(std::move(server)),
      insecure_(insecure),
      stub_(v1::AdminService::NewStub(std::move(channel))) {}

std::shared_ptr<AdminClient::Call> AdminClient::Begin(int64_t timeout_ms) {
  auto call = std::make_shared<Call>(insecure_, timeout_ms);
  MutexLock lock(&mutex_);
  current_ = call;
  if (cancelled_) call->context.TryCancel();
  return call;
}

void AdminClient::End() {
  MutexLock lock(&mutex_);
  current_.reset();
}

void AdminClient::Cancel() {
  MutexLock lock(&mutex_);
  cancelled_ = true;
  if (current_) current_->context.TryCancel();
}

template <typename Request, typename Response>
absl::StatusOr<Response> AdminClient::Unary(UnaryMethod<Request, Response> method,
                                            const Request& request) {
  const auto call = Begin(kUnaryTimeoutMs);
  Response response;
  const grpc::Status status = (stub_.get()->*method)(&call->context, request, &response);
  End();
  if (!status.ok()) return Humanise(status, call->context, server_);
  return response;
}

absl::StatusOr<v1::ServerInfo> AdminClient::GetServerInfo() {
  return Unary(&v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
}

absl::StatusOr<v1::Job> AdminClient::SubmitJob(const v1::SubmitJobRequest& request) {
  return Unary(&v1::AdminService::Stub::SubmitJob, request);
}

absl::StatusOr<v1::ListJobsResponse> AdminClient::ListJobs(bool all) {
  v1::ListJobsRequest request;
  request.set_all(all);
  return Unary(&v1::AdminService::Stub::ListJobs, request);
}

absl::StatusOr<v1::Job> AdminClient::GetJob(const std::string& job) {
  v1::GetJobRequest request;
  request.set_job(job);
  return Unary(&v1::AdminService::Stub::GetJob, request);
}

absl::StatusOr<v1::QueryEnergyResponse> AdminClient::QueryEnergy(
    const v1::QueryEnergyRequest& request) {
  return Unary(&v1::AdminService::Stub::QueryEnergy, request);
}

absl::StatusOr<v1::Job> AdminClient::StopJob(const std::string& job, const std::string& reason) {
  v1::StopJobRequest request;
  request.set_job(job);
  request.set_reason(reason);
  return Unary(&v1::AdminService::Stub::StopJob, request);
}

absl::StatusOr<v1::Job> AdminClient::ResumeJob(const std::string& job) {
  v1::ResumeJobRequest request;
  request.set_job(job);
  return Unary(&v1::AdminService::Stub::ResumeJob, request);
}

absl::StatusOr<v1::UploadBundleResponse> AdminClient::UploadBundle(
    const std::string& path, const std::function<void(uint64_t, uint64_t)>& progress) {
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const ByteSpan bytes = file.bytes();
  Sha256 hash;
  hash.Update(bytes);
  const Digest digest = hash.Finish();

  const auto call = Begin(0);
  v1::UploadBundleResponse response;
  const auto stream = stub_->UploadBundle(&call->context, &response);
  v1::UploadBundleRequest part;
  part.set_total(bytes.size());
  part.set_sha256(digest.data(), digest.size());
  uint64_t offset = 0;
  do {
    const uint64_t n = std::min<uint64_t>(bounds::kChunkBytes, bytes.size() - offset);
    part.set_offset(offset);
    part.set_data(bytes.data() + offset, n);
    if (!stream->Write(part)) break;  // Finish tells why
    offset += n;
    if (progress) progress(offset, bytes.size());
    part.clear_total();
    part.clear_sha256();
  } while (offset < bytes.size());
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  End();
  if (!status.ok()) return Humanise(status, call->context, server_);
  return response;
}

absl::Status AdminClient::WatchJob(const std::string& job, const WatchFrom& from,
                                   const std::function<bool(const v1::JobEvent&)>& on_event) {
  v1::WatchJobRequest request;
  request.set_job(job);
  request.set_after_sequence(from.after_sequence);
  const auto call = Begin(0);
  call->context.set_wait_for_ready(from.wait_for_coordinator);
  const auto stream = stub_->WatchJob(&call->context, request);
  v1::JobEvent event;
  bool wanted = true;
  while (wanted && stream->Read(&event)) wanted = on_event(event);
  if (!wanted) call->context.TryCancel();
  const grpc::Status status = stream->Finish();
  End();
  if (!wanted || status.ok()) return absl::OkStatus();
  return Humanise(status, call->context, server_);
}

absl::Status AdminClient::ExportModel(const std::string& job, const std::string& version,
                                      const std::string& path,
                                      const std::function<void(uint64_t, uint64_t)>& progress) {
  v1::ExportModelRequest request;
  request.set_job(job);
  request.set_version(version);
  const std::string part_path = path + ".part";
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(part_path));
  const auto call = Begin(0);
  const auto stream = stub_->ExportModel(&call->context, request);
  v1::DownloadChunk chunk;
  absl::Status written;
  uint64_t total = 0;
  while (written.ok() && stream->Read(&chunk)) {
    total = chunk.total();
    written = file.WriteAt(chunk.offset(), AsBytes(chunk.data()));
    if (progress) progress(file.size(), total);
  }
  if (!written.ok()) call->context.TryCancel();
  const grpc::Status status = stream->Finish();
  End();
  if (written.ok() && !status.ok()) written = Humanise(status, call->context, server_);
  if (written.ok() && file.size() != total) {
    written = absl::DataLossError(absl::StrCat("the export of ", job, " ended after ", file.size(),
                                               " of ", total, " bytes; try again"));
  }
  if (!written.ok()) {
    (void)RemoveIfExists(part_path);
    return written;
  }
  FW_RETURN_IF_ERROR(file.Close());
  return RenameFile(part_path, path);
}

}  // namespace fedwatt::cli
