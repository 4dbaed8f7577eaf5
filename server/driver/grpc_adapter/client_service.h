#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/message_allocator.h>
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
  explicit ClientService(const CallDeps* deps);

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
  // A report's messages, which the handler may take apart: an update in it is moved, not copied.
  class ReportMessages final
      : public grpc::MessageAllocator<v1::ReportRequest, v1::ReportResponse> {
   public:
    grpc::MessageHolder<v1::ReportRequest, v1::ReportResponse>* AllocateMessages() override;
  };

  const CallDeps& deps_;
  ReportMessages report_messages_;
};

}  // namespace fedwatt
