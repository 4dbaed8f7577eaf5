#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "fedwatt/v1/client_service.grpc.pb.h"
#include "server/driver/grpc_adapter/call_deps.h"

namespace fedwatt {

// The devices' side of a coordinator as gRPC callbacks: authenticate, bound, convert, call.
// Thread-safe.
class ClientService final
    : public v1::ClientService::WithCallbackMethod_CheckIn<
          v1::ClientService::WithRawCallbackMethod_Download<
              v1::ClientService::WithCallbackMethod_UploadStatus<
                  v1::ClientService::WithCallbackMethod_Upload<
                      v1::ClientService::WithCallbackMethod_Report<v1::ClientService::Service>>>>> {
 public:
  // `deps` outlives the service.
  explicit ClientService(const CallDeps* deps) : deps_(*deps) {}

  grpc::ServerUnaryReactor* CheckIn(grpc::CallbackServerContext* context,
                                    const v1::CheckInRequest* request,
                                    v1::CheckInResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Download(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* UploadStatus(grpc::CallbackServerContext* context,
                                         const v1::UploadStatusRequest* request,
                                         v1::UploadStatusResponse* response) override;
  grpc::ServerReadReactor<v1::UploadRequest>* Upload(grpc::CallbackServerContext* context,
                                                     v1::ReportResponse* response) override;
  grpc::ServerUnaryReactor* Report(grpc::CallbackServerContext* context,
                                   const v1::ReportRequest* request,
                                   v1::ReportResponse* response) override;

 private:
  const CallDeps& deps_;
};

}  // namespace fedwatt
