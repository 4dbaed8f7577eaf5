#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "fedwatt/v1/admin_service.grpc.pb.h"
#include "server/driver/grpc_adapter/call_deps.h"

namespace fedwatt {

// The service's methods, with ExportModel's messages left unparsed (see FileStream).
using AdminServiceBase = v1::AdminService::WithCallbackMethod_GetServerInfo<
    v1::AdminService::WithCallbackMethod_UploadBundle<
        v1::AdminService::WithCallbackMethod_SubmitJob<
            v1::AdminService::WithCallbackMethod_ListJobs<
                v1::AdminService::WithCallbackMethod_GetJob<
                    v1::AdminService::WithCallbackMethod_WatchJob<
                        v1::AdminService::WithCallbackMethod_StopJob<
                            v1::AdminService::WithCallbackMethod_ResumeJob<
                                v1::AdminService::WithCallbackMethod_QueryEnergy<
                                    v1::AdminService::WithRawCallbackMethod_ExportModel<
                                        v1::AdminService::Service>>>>>>>>>>;

// The operators' side of a coordinator. Every call needs the role operator. Thread-safe.
class AdminService final : public AdminServiceBase {
 public:
  // `deps` outlives the service.
  explicit AdminService(const CallDeps* deps) : deps_(*deps) {}

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* request,
                                          v1::ServerInfo* response) override;
  grpc::ServerReadReactor<v1::UploadBundleRequest>* UploadBundle(
      grpc::CallbackServerContext* context, v1::UploadBundleResponse* response) override;
  grpc::ServerUnaryReactor* SubmitJob(grpc::CallbackServerContext* context,
                                      const v1::SubmitJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request, v1::Job* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchJob(grpc::CallbackServerContext* context,
                                                   const v1::WatchJobRequest* request) override;
  grpc::ServerUnaryReactor* StopJob(grpc::CallbackServerContext* context,
                                    const v1::StopJobRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* ResumeJob(grpc::CallbackServerContext* context,
                                      const v1::ResumeJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* QueryEnergy(grpc::CallbackServerContext* context,
                                        const v1::QueryEnergyRequest* request,
                                        v1::QueryEnergyResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* ExportModel(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request) override;

 private:
  const CallDeps& deps_;
};

}  // namespace fedwatt
