#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "fedwatt/v1/admin_service.grpc.pb.h"

// The admin service as blocking calls. One thread at a time; Cancel from any.
namespace fedwatt::cli {

class AdminClient {
 public:
  // `insecure`: says who it is in metadata instead of a certificate.
  AdminClient(std::shared_ptr<grpc::Channel> channel, std::string server, bool insecure);

  absl::StatusOr<v1::ServerInfo> GetServerInfo();
  // Sends the bundle file at `path`; progress is called with bytes sent so far.
  absl::StatusOr<v1::UploadBundleResponse> UploadBundle(
      const std::string& path, const std::function<void(uint64_t sent, uint64_t total)>& progress);
  absl::StatusOr<v1::Job> SubmitJob(const v1::SubmitJobRequest& request);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(bool all);
  absl::StatusOr<v1::Job> GetJob(const std::string& job);
  absl::StatusOr<v1::QueryEnergyResponse> QueryEnergy(const v1::QueryEnergyRequest& request);
  absl::StatusOr<v1::Job> StopJob(const std::string& job, const std::string& reason);
  absl::StatusOr<v1::Job> ResumeJob(const std::string& job);
  struct WatchFrom {
    uint64_t after_sequence = 0;
    bool wait_for_coordinator = false;  // else UNAVAILABLE at once while it is away
  };
  // Calls `on_event` until the stream ends (the job ended) or it returns false.
  absl::Status WatchJob(const std::string& job, const WatchFrom& from,
                        const std::function<bool(const v1::JobEvent&)>& on_event);
  // Writes the bundle file of a version to `path`, atomically.
  absl::Status ExportModel(const std::string& job, const std::string& version,
                           const std::string& path,
                           const std::function<void(uint64_t got, uint64_t total)>& progress);

  // Ends the call under way, and every later one, with CANCELLED.
  void Cancel();

 private:
  class Call;

  template <typename Request, typename Response>
  using UnaryMethod = grpc::Status (v1::AdminService::Stub::*)(grpc::ClientContext*, const Request&,
                                                               Response*);
  template <typename Request, typename Response>
  absl::StatusOr<Response> Unary(UnaryMethod<Request, Response> method, const Request& request);

  std::shared_ptr<Call> Begin(int64_t timeout_ms);  // 0: no limit
  void End();

  const std::string server_;
  const bool insecure_;
  const std::unique_ptr<v1::AdminService::Stub> stub_;
  Mutex mutex_;
  std::shared_ptr<Call> current_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace fedwatt::cli
