#include "server/driver/grpc_adapter/client_service.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/wire/client_wire.h"
#include "server/driver/grpc_adapter/check_in_call.h"
#include "server/driver/grpc_adapter/file_stream.h"
#include "server/driver/grpc_adapter/message_parts.h"
#include "server/driver/grpc_adapter/upload_stream.h"

namespace fedwatt {
namespace {

class ReportHolder final : public grpc::MessageHolder<v1::ReportRequest, v1::ReportResponse> {
 public:
  ReportHolder() {
    set_request(&request_);
    set_response(&response_);
  }
  void Release() override { delete this; }

 private:
  v1::ReportRequest request_;
  v1::ReportResponse response_;
};

// The report with its update's bytes, which the coordinator compares with their hash.
absl::StatusOr<Report> TakeReport(v1::ReportRequest* request) {
  std::string bytes;
  if (!request->update().inline_data().empty()) {
    bytes.swap(*request->mutable_update()->mutable_inline_data());
  }
  if (bytes.size() > bounds::kMaxInlineBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a report with ", bytes.size(), " bytes of update.inline_data; the limit is ",
                     bounds::kMaxInlineBytes, ": call Upload to send more"));
  }
  FW_ASSIGN_OR_RETURN(Report report, wire::FromProto(*request));
  report.update.inline_data = std::move(bytes);
  return report;
}

}  // namespace

ClientService::ClientService(const CallDeps* deps) : deps_(*deps) {
  SetMessageAllocatorFor_Report(&report_messages_);
}

grpc::MessageHolder<v1::ReportRequest, v1::ReportResponse>*
ClientService::ReportMessages::AllocateMessages() {
  return new ReportHolder;
}

grpc::ServerUnaryReactor* ClientService::CheckIn(grpc::CallbackServerContext* context,
                                                 const v1::CheckInRequest* request,
                                                 v1::CheckInResponse* response) {
  return CheckInCall::Start(deps_, context, *request, response);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ClientService::Download(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return FileStream::Start(
      deps_, context, RequireDevice, "downloading",
      [coordinator = deps_.coordinator,
       raw = *request](const Principal& who) -> absl::StatusOr<FileStream::Source> {
        FW_ASSIGN_OR_RETURN(const v1::DownloadRequest parsed,
                            ParseMessage<v1::DownloadRequest>(raw));
        FW_ASSIGN_OR_RETURN(const Digest sha256, DigestOf("sha256", parsed.sha256()));
        FW_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file,
                            coordinator->OpenBlob(who, sha256));
        return FileStream::Source{std::move(file), parsed.offset()};
      });
}

grpc::ServerUnaryReactor* ClientService::UploadStatus(grpc::CallbackServerContext* context,
                                                      const v1::UploadStatusRequest* request,
                                                      v1::UploadStatusResponse* response) {
  return RunUnary(deps_, context, RequireDevice, "asking for an upload's state",
                  [this, request, response](const Principal& who) -> absl::Status {
                    FW_RETURN_IF_ERROR(CheckName("assignment_id", request->assignment_id()));
                    FW_ASSIGN_OR_RETURN(const Digest sha256, DigestOf("sha256", request->sha256()));
                    FW_ASSIGN_OR_RETURN(
                        const UploadOffset offset,
                        deps_.coordinator->UploadStatus(who, request->assignment_id(), sha256));
                    wire::ToProto(offset, response);
                    return absl::OkStatus();
                  });
}

grpc::ServerReadReactor<v1::UploadRequest>* ClientService::Upload(
    grpc::CallbackServerContext* context, v1::ReportResponse* response) {
  return UploadStream::Start(deps_, context, response);
}

grpc::ServerUnaryReactor* ClientService::Report(grpc::CallbackServerContext* context,
                                                const v1::ReportRequest*,
                                                v1::ReportResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const auto finish = [reactor, context](const absl::Status& status) {
    reactor->Finish(ToGrpcStatus(status, context));
    return reactor;
  };
  const absl::StatusOr<Principal> who = Admit(deps_, *context, RequireDevice, "reporting");
  if (!who.ok()) return finish(who.status());
  auto* const messages = static_cast<ReportHolder*>(context->GetRpcAllocatorState());
  absl::StatusOr<fedwatt::Report> report = TakeReport(messages->request());
  if (!report.ok()) return finish(report.status());
  if (report->update.size > 0 && report->update.inline_data.empty()) {
    return finish(absl::InvalidArgumentError(
        "the report names an update that it does not carry; call Upload to send it"));
  }
  deps_.coordinator->SubmitReport(*who, *std::move(report),
                                  [finish, response](absl::StatusOr<ReportReply> reply) {
                                    if (reply.ok()) wire::ToProto(*reply, response);
                                    finish(reply.status());
                                  });
  return reactor;
}

}  // namespace fedwatt
