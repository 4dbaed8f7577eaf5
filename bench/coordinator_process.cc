#include "bench/coordinator_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/crypto/sha256.h"
#include "common/transport/authenticator.h"
#include "common/transport/channel.h"
#include "common/transport/grpc_status.h"
#include "common/transport/tls_credentials.h"
#include "common/wire/admin_wire.h"
#include "common/wire/job_wire.h"

namespace fedwatt::bench {
namespace {

constexpr int64_t kStartLimitMs = 20'000;
constexpr int64_t kCallLimitMs = 60'000;
constexpr int64_t kJobLimitMs = 900'000;
constexpr int64_t kPollMs = 50;
constexpr uint64_t kMaxPortFileBytes = 64;

absl::StatusOr<Subprocess> Spawn(const CoordinatorProcessOptions& options,
                                 const std::string& port_file) {
  const int log = open(options.log_path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) return FileError(errno, "open", options.log_path);
  SubprocessOptions child;
  child.argv = {options.program,  "--listen",    "127.0.0.1:0", "--data-dir",
                options.data_dir, "--port-file", port_file};
  if (options.tls_dir.empty()) {
    child.argv.emplace_back("--insecure");
  } else {
    child.argv.insert(child.argv.end(), {"--tls-dir", options.tls_dir});
  }
  child.argv.insert(child.argv.end(), options.extra.begin(), options.extra.end());
  child.fds = {{log, 1}, {log, 2}};
  absl::StatusOr<Subprocess> process = Subprocess::Spawn(child);
  close(log);
  return process;
}

std::string LogTail(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, 1 << 20);
  if (!text.ok()) return "";
  constexpr size_t kTailBytes = 1500;
  return text->substr(text->size() > kTailBytes ? text->size() - kTailBytes : 0);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const std::string& address,
                                                       const std::string& tls_dir) {
  if (tls_dir.empty()) return OpenChannel(address, grpc::InsecureChannelCredentials());
  FW_ASSIGN_OR_RETURN(const TlsIdentity identity,
                      LoadTlsIdentity(TlsFiles::In(tls_dir, "operator"), SystemClock().NowMs()));
  return OpenChannel(address, MakeChannelCredentials(identity));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CoordinatorProcess>> CoordinatorProcess::Start(
    const CoordinatorProcessOptions& options, Interrupt* interrupt) {
  const std::string port_file = absl::StrCat(options.data_dir, ".port");
  FW_ASSIGN_OR_RETURN(Subprocess process, Spawn(options, port_file));
  absl::StatusOr<std::string> port;
  for (int64_t waited_ms = 0; waited_ms < kStartLimitMs; waited_ms += kPollMs) {
    FW_RETURN_IF_ERROR(interrupt->Check());
    const bool ended = process.Wait(kPollMs).ok();
    port = ReadFile(port_file, kMaxPortFileBytes);
    if (port.ok() || ended) break;
  }
  if (!port.ok()) {
    return absl::UnavailableError(
        absl::StrCat(options.program, " does not start:\n", LogTail(options.log_path)));
  }
  const std::string address =
      absl::StrCat("127.0.0.1:", std::string(absl::StripAsciiWhitespace(*port)));
  FW_ASSIGN_OR_RETURN(const auto channel, Connect(address, options.tls_dir));
  std::unique_ptr<CoordinatorProcess> coordinator(
      new CoordinatorProcess(address, options.tls_dir.empty(), std::move(process), interrupt));
  coordinator->stub_ = v1::AdminService::NewStub(channel);
  return coordinator;
}

void CoordinatorProcess::Prepare(grpc::ClientContext* context, int64_t timeout_ms) const {
  context->set_deadline(gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
  if (!insecure_) return;
  context->AddMetadata(kSubjectMetadataKey, "bench");
  context->AddMetadata(kRoleMetadataKey, "operator");
}

absl::StatusOr<uint64_t> CoordinatorProcess::WaitingClients() {
  grpc::ClientContext context;
  Prepare(&context, kCallLimitMs);
  v1::ServerInfo info;
  const grpc::Status status = stub_->GetServerInfo(&context, {}, &info);
  if (!status.ok()) return FromGrpcStatus(status, context);
  return info.waiting_clients();
}

absl::Status CoordinatorProcess::UploadBundle(const std::string& path, std::string* sha256) {
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const Digest digest = Sha256Of(file.bytes());
  grpc::ClientContext context;
  Prepare(&context, kCallLimitMs);
  v1::UploadBundleResponse response;
  const auto writer = stub_->UploadBundle(&context, &response);
  for (uint64_t offset = 0; offset < file.bytes().size(); offset += bounds::kChunkBytes) {
    v1::UploadBundleRequest chunk;
    if (offset == 0) {
      chunk.set_total(file.bytes().size());
      chunk.set_sha256(digest.data(), digest.size());
    }
    chunk.set_offset(offset);
    const ByteSpan part = file.bytes().subspan(
        offset, std::min<uint64_t>(bounds::kChunkBytes, file.bytes().size() - offset));
    chunk.set_data(part.data(), part.size());
    if (!writer->Write(chunk)) break;
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return FromGrpcStatus(status, context);
  *sha256 = response.sha256();
  return absl::OkStatus();
}

absl::StatusOr<std::string> CoordinatorProcess::Submit(const std::string& bundle_path,
                                                       const JobSpec& spec) {
  v1::SubmitJobRequest request;
  FW_RETURN_IF_ERROR(UploadBundle(bundle_path, request.mutable_bundle_sha256()));
  wire::ToProto(spec, request.mutable_spec());
  request.set_request_id("bench");
  grpc::ClientContext context;
  Prepare(&context, kCallLimitMs);
  v1::Job job;
  const grpc::Status status = stub_->SubmitJob(&context, request, &job);
  if (!status.ok()) return FromGrpcStatus(status, context);
  return job.id();
}

absl::Status CoordinatorProcess::Watch(
    const std::string& job, const std::function<absl::Status(const RoundSummary&)>& on_committed) {
  grpc::ClientContext context;
  Prepare(&context, kJobLimitMs);
  v1::WatchJobRequest request;
  request.set_job(job);
  const auto reader = stub_->WatchJob(&context, request);
  interrupt_->Watch(&context);
  v1::JobEvent event;
  absl::Status status;
  while (status.ok() && reader->Read(&event)) {
    if (!event.has_committed() || event.committed().phase() != "committed") continue;
    absl::StatusOr<RoundSummary> summary = wire::FromProto(event.committed());
    status = summary.ok() ? on_committed(*summary) : summary.status();
  }
  interrupt_->Watch(nullptr);
  if (!status.ok()) context.TryCancel();
  const grpc::Status ended = reader->Finish();
  FW_RETURN_IF_ERROR(status);
  if (!ended.ok()) return FromGrpcStatus(ended, context);
  if (event.job().state() == v1::JOB_STATE_COMPLETED) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("the job ", job, " did not complete: ", event.job().reason()));
}

}  // namespace fedwatt::bench
