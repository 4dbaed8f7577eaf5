#include "client/sdk/grpc_transport.h"

#include <grpcpp/support/client_callback.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/sdk/grpc_connection.h"
#include "client/sdk/grpc_transfers.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/transport/endpoint.h"
#include "common/wire/client_wire.h"

namespace fedwatt {
namespace {

absl::StatusOr<FileWriter> OpenForAppend(const std::string& path, uint64_t offset) {
  if (offset == 0) return FileWriter::Create(path, 0600);
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Open(path));
  if (file.size() != offset) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " holds ", file.size(), " bytes and the download should go on at ", offset));
  }
  return file;
}

absl::StatusOr<std::shared_ptr<const MappedFile>> OpenUpdate(const std::string& path,
                                                             uint64_t offset, uint64_t size) {
  FW_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  if (file.bytes().size() < size || offset > size) {
    return absl::InvalidArgumentError(absl::StrCat("cannot send bytes ", offset, " to ", size,
                                                   " of ", path, ", which holds ",
                                                   file.bytes().size(), " bytes"));
  }
  return std::make_shared<const MappedFile>(std::move(file));
}

// What a unary call needs until it ends.
template <typename Request, typename Response, typename Value>
struct UnaryCall {
  std::shared_ptr<GrpcConnection> connection;
  std::shared_ptr<grpc::ClientContext> context;
  Request request;
  Response response;
  ClientTransport::Done<Value> done;
};

class GrpcTransport final : public ClientTransport {
 public:
  GrpcTransport(GrpcTransportOptions options, const Clock* clock, Executor* executor)
      : executor_(executor), calls_(std::move(options), clock, executor) {}

  ~GrpcTransport() override {
    calls_.CancelAll();
    calls_.WaitUntilIdle();
  }

  void CheckIn(const CheckInRequest& request, Done<CheckInResponse> done) override {
    v1::CheckInRequest message;
    wire::ToProto(request, &message);
    Unary<v1::CheckInRequest, v1::CheckInResponse, CheckInResponse>(
        std::move(message), calls_.options().call_timeout_ms + request.max_wait_ms,
        [](auto* stub, auto&&... arguments) { stub->CheckIn(arguments...); }, std::move(done));
  }

  void UploadStatus(const std::string& assignment_id, const Digest& sha256,
                    Done<UploadOffset> done) override {
    v1::UploadStatusRequest message;
    message.set_assignment_id(assignment_id);
    message.set_sha256(sha256.data(), sha256.size());
    Unary<v1::UploadStatusRequest, v1::UploadStatusResponse, UploadOffset>(
        std::move(message), calls_.options().call_timeout_ms,
        [](auto* stub, auto&&... arguments) { stub->UploadStatus(arguments...); }, std::move(done));
  }

  void SubmitReport(const Report& report, Done<ReportReply> done) override {
    v1::ReportRequest message;
    wire::ToProto(report, &message);
    Unary<v1::ReportRequest, v1::ReportResponse, ReportReply>(
        std::move(message), calls_.options().call_timeout_ms,
        [](auto* stub, auto&&... arguments) { stub->Report(arguments...); }, std::move(done));
  }

  void Download(const Digest& sha256, uint64_t offset, const std::string& path,
                absl::AnyInvocable<void(DownloadResult)> done) override {
    absl::StatusOr<std::shared_ptr<GrpcConnection>> connection = calls_.Connect();
    absl::StatusOr<FileWriter> file =
        connection.ok() ? OpenForAppend(path, offset) : connection.status();
    if (!file.ok()) return Later(std::move(done), DownloadResult{.status = file.status()});
    GrpcDownload::Start(&calls_, *std::move(connection), sha256, offset, *std::move(file),
                        std::move(done));
  }

  void Upload(const Report& report, uint64_t offset, const std::string& path,
              absl::AnyInvocable<void(UploadResult)> done) override {
    absl::StatusOr<std::shared_ptr<GrpcConnection>> connection = calls_.Connect();
    absl::StatusOr<std::shared_ptr<const MappedFile>> file =
        connection.ok() ? OpenUpdate(path, offset, report.update.size) : connection.status();
    if (!file.ok()) return Later(std::move(done), UploadResult{.reply = file.status()});
    GrpcUpload::Start(&calls_, *std::move(connection), report, offset, *std::move(file),
                      std::move(done));
  }

  void CancelAll() override { calls_.CancelAll(); }

  void Sleep() override { calls_.Disconnect(); }

 private:
  // Callbacks never run inside of the call that they belong to.
  template <typename Result>
  void Later(absl::AnyInvocable<void(Result)> done, Result result) {
    calls_.AddPending();
    // Also counted down by an executor that was shut down and drops the task.
    auto counted = absl::MakeCleanup([this] { calls_.RemovePending(); });
    executor_->Post([counted = std::move(counted), done = std::move(done),
                     result = std::move(result)]() mutable { std::move(done)(std::move(result)); });
  }

  template <typename Request, typename Response, typename Value, typename Method>
  void Unary(Request request, int64_t timeout_ms, Method method, Done<Value> done) {
    absl::StatusOr<std::shared_ptr<GrpcConnection>> connection = calls_.Connect();
    if (!connection.ok()) {
      return Later<absl::StatusOr<Value>>(std::move(done), connection.status());
    }
    auto call = std::make_shared<UnaryCall<Request, Response, Value>>();
    call->connection = *std::move(connection);
    call->context = calls_.BeginCall(timeout_ms);
    call->request = std::move(request);
    call->done = std::move(done);
    method(call->connection->stub->async(), call->context.get(), &call->request, &call->response,
           [this, call, timeout_ms](const grpc::Status& status) {
             const absl::Status ended = calls_.EndCall(call->context, status, timeout_ms);
             std::move(call->done)(ended.ok() ? wire::FromProto(call->response) : ended);
             // Before the count falls: afterwards the executor that releases them may be gone.
             call->context.reset();
             call->connection.reset();
             calls_.RemovePending();
           });
  }

  Executor* const executor_;
  GrpcCalls calls_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ClientTransport>> MakeGrpcTransport(GrpcTransportOptions options,
                                                                   const Clock* clock,
                                                                   Executor* executor) {
  FW_ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(options.address));
  if (endpoint.port == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", options.address, "\": a coordinator's port is 1 to 65535"));
  }
  if (!options.tls.has_value() && !endpoint.IsLoopback()) {
    return absl::FailedPreconditionError(
        absl::StrCat("insecure mode is for a coordinator on this machine, and ", options.address,
                     " is not a loopback address; use certificates"));
  }
  return std::make_unique<GrpcTransport>(std::move(options), clock, executor);
}

}  // namespace fedwatt
