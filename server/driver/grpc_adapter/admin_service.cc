#include "server/driver/grpc_adapter/admin_service.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/wire/admin_wire.h"
#include "common/wire/job_wire.h"
#include "server/driver/grpc_adapter/bundle_upload_stream.h"
#include "server/driver/grpc_adapter/energy_messages.h"
#include "server/driver/grpc_adapter/file_stream.h"
#include "server/driver/grpc_adapter/message_parts.h"
#include "server/driver/grpc_adapter/scratch_file.h"
#include "server/driver/grpc_adapter/watch_stream.h"

namespace fedwatt {
namespace {

constexpr uint32_t kProtocol = 1;

absl::Status FillJob(const absl::StatusOr<JobView>& job, v1::Job* response) {
  if (job.ok()) wire::ToProto(*job, response);
  return job.status();
}

// The exported file lives as long as its mapping: its name is gone before the first byte is sent.
absl::StatusOr<FileStream::Source> OpenExport(const CallDeps& deps, const grpc::ByteBuffer& raw) {
  FW_ASSIGN_OR_RETURN(const v1::ExportModelRequest request,
                      ParseMessage<v1::ExportModelRequest>(raw));
  FW_RETURN_IF_ERROR(CheckName("job", request.job()));
  const std::string version = request.version().empty() ? "last" : request.version();
  FW_RETURN_IF_ERROR(CheckName("version", version));
  FW_ASSIGN_OR_RETURN(const std::string path, NewScratchPath(deps.data_dir, "export"));
  const auto remove = absl::MakeCleanup([&path] { RemoveIfExists(path).IgnoreError(); });
  FW_RETURN_IF_ERROR(deps.coordinator->ExportModel(request.job(), version, path));
  FW_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  return FileStream::Source{std::make_shared<const MappedFile>(std::move(file)), request.offset()};
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::GetServerInfo(grpc::CallbackServerContext* context,
                                                      const v1::GetServerInfoRequest* /*request*/,
                                                      v1::ServerInfo* response) {
  return RunUnary(deps_, context, RequireOperator, "reading the server's state",
                  [this, response](const Principal& /*who*/) -> absl::Status {
                    const ServerStats stats = deps_.coordinator->Stats();
                    FW_ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeDiskBytes(deps_.data_dir));
                    response->set_version(deps_.version);
                    response->set_server_time_ms(deps_.clock->NowMs());
                    response->set_started_ms(stats.started_ms);
                    response->set_protocol_min(kProtocol);
                    response->set_protocol_max(kProtocol);
                    response->set_waiting_clients(stats.waiting_clients);
                    response->set_known_clients(stats.known_clients);
                    response->set_jobs_running(stats.jobs_running);
                    response->set_store_free_bytes(free_bytes);
                    response->set_inflight_upload_bytes(deps_.budget->reserved_bytes());
                    for (const auto& name : deps_.selectors) response->add_selectors(name);
                    for (const auto& name : deps_.strategies) response->add_strategies(name);
                    for (const auto& name : deps_.aggregators) response->add_aggregators(name);
                    for (const auto& name : deps_.codecs) response->add_codecs(name);
                    return absl::OkStatus();
                  });
}

grpc::ServerReadReactor<v1::UploadBundleRequest>* AdminService::UploadBundle(
    grpc::CallbackServerContext* context, v1::UploadBundleResponse* response) {
  return BundleUploadStream::Start(deps_, context, response);
}

grpc::ServerUnaryReactor* AdminService::SubmitJob(grpc::CallbackServerContext* context,
                                                  const v1::SubmitJobRequest* request,
                                                  v1::Job* response) {
  return RunUnary(
      deps_, context, RequireOperator, "submitting a job",
      [this, request, response](const Principal& /*who*/) -> absl::Status {
        FW_ASSIGN_OR_RETURN(const JobSpec spec, wire::FromProto(request->spec()));
        FW_ASSIGN_OR_RETURN(const Digest bundle,
                            DigestOf("bundle_sha256", request->bundle_sha256()));
        FW_RETURN_IF_ERROR(CheckName("request_id", request->request_id()));
        return FillJob(deps_.coordinator->SubmitJob(spec, bundle, request->request_id()), response);
      });
}

grpc::ServerUnaryReactor* AdminService::ListJobs(grpc::CallbackServerContext* context,
                                                 const v1::ListJobsRequest* request,
                                                 v1::ListJobsResponse* response) {
  return RunUnary(deps_, context, RequireOperator, "listing jobs",
                  [this, request, response](const Principal& /*who*/) {
                    for (const JobView& job : deps_.coordinator->ListJobs(request->all())) {
                      wire::ToProto(job, response->add_jobs());
                    }
                    return absl::OkStatus();
                  });
}

grpc::ServerUnaryReactor* AdminService::GetJob(grpc::CallbackServerContext* context,
                                               const v1::GetJobRequest* request,
                                               v1::Job* response) {
  return RunUnary(deps_, context, RequireOperator, "reading a job",
                  [this, request, response](const Principal& /*who*/) -> absl::Status {
                    FW_RETURN_IF_ERROR(CheckName("job", request->job()));
                    return FillJob(deps_.coordinator->GetJob(request->job()), response);
                  });
}

grpc::ServerWriteReactor<v1::JobEvent>* AdminService::WatchJob(grpc::CallbackServerContext* context,
                                                               const v1::WatchJobRequest* request) {
  return WatchStream::Start(deps_, context, *request);
}

grpc::ServerUnaryReactor* AdminService::StopJob(grpc::CallbackServerContext* context,
                                                const v1::StopJobRequest* request,
                                                v1::Job* response) {
  return RunUnary(deps_, context, RequireOperator, "stopping a job",
                  [this, request, response](const Principal& who) -> absl::Status {
                    FW_RETURN_IF_ERROR(CheckName("job", request->job()));
                    std::string reason = request->reason().substr(0, bounds::kMaxReasonLength);
                    if (reason.empty()) reason = absl::StrCat("stopped by ", who.subject);
                    return FillJob(deps_.coordinator->StopJob(request->job(), reason), response);
                  });
}

grpc::ServerUnaryReactor* AdminService::ResumeJob(grpc::CallbackServerContext* context,
                                                  const v1::ResumeJobRequest* request,
                                                  v1::Job* response) {
  return RunUnary(deps_, context, RequireOperator, "resuming a job",
                  [this, request, response](const Principal& /*who*/) -> absl::Status {
                    FW_RETURN_IF_ERROR(CheckName("job", request->job()));
                    return FillJob(deps_.coordinator->ResumeJob(request->job()), response);
                  });
}

grpc::ServerUnaryReactor* AdminService::QueryEnergy(grpc::CallbackServerContext* context,
                                                    const v1::QueryEnergyRequest* request,
                                                    v1::QueryEnergyResponse* response) {
  return RunUnary(
      deps_, context, RequireOperator, "reading the ledger",
      [this, request, response](const Principal& /*who*/) -> absl::Status {
        FW_RETURN_IF_ERROR(CheckName("job", request->job()));
        FW_ASSIGN_OR_RETURN(const EnergyQuestion question, ReadQuestion(*request));
        FW_ASSIGN_OR_RETURN(
            const std::vector<EnergySum> sums,
            deps_.coordinator->QueryEnergy(request->job(), question.axis, question.filter));
        FillAnswer(question.axis, sums, response);
        return FillJob(deps_.coordinator->GetJob(request->job()), response->mutable_job());
      });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* AdminService::ExportModel(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return FileStream::Start(
      deps_, context, RequireOperator, "exporting a model",
      [this, raw = *request](const Principal& /*who*/) { return OpenExport(deps_, raw); });
}

}  // namespace fedwatt
