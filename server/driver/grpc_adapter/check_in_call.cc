#include "server/driver/grpc_adapter/check_in_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/wire/client_wire.h"

namespace fedwatt {
namespace {

absl::Status CheckRole(const Principal& who, Role asked) {
  if (who.role == asked) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "'", who.subject, "' checked in as ", RoleName(asked), ", and its certificate ", "says ",
      RoleName(who.role), "; use a certificate of the role ", RoleName(asked)));
}

// As wire::ToProto; a model that travels inline is moved, not copied.
void MoveToProto(CheckInResponse response, v1::CheckInResponse* out) {
  std::string model;
  if (response.assignment) model.swap(response.assignment->model.inline_data);
  wire::ToProto(response, out);
  if (!model.empty()) {
    out->mutable_assignment()->mutable_model()->set_inline_data(std::move(model));
  }
}

}  // namespace

grpc::ServerUnaryReactor* CheckInCall::Start(const CallDeps& deps,
                                             grpc::CallbackServerContext* context,
                                             const v1::CheckInRequest& request,
                                             v1::CheckInResponse* response) {
  std::shared_ptr<CheckInCall> call(new CheckInCall(deps, context, response));
  call->self_ = call;
  call->Begin(request);
  return call.get();
}

void CheckInCall::Begin(const v1::CheckInRequest& request) {
  const absl::StatusOr<Principal> who = Admit(deps_, *context_, RequireDevice, "checking in");
  if (!who.ok()) return Answer(who.status());
  absl::StatusOr<CheckInRequest> parsed = wire::FromProto(request);
  if (!parsed.ok()) return Answer(parsed.status());
  if (const absl::Status role = CheckRole(*who, parsed->role); !role.ok()) return Answer(role);

  const std::shared_ptr<CheckInCall> self = self_;
  const uint64_t id = deps_.coordinator->CheckIn(
      *who, *std::move(parsed),
      [self](absl::StatusOr<CheckInResponse> answer) { self->Answer(std::move(answer)); });
  bool cancelled = false;
  {
    MutexLock lock(&mutex_);
    id_ = id;
    cancelled = cancelled_;
  }
  if (cancelled) deps_.coordinator->CancelCheckIn(id);
}

void CheckInCall::Answer(absl::StatusOr<CheckInResponse> answer) {
  if (answer.ok()) MoveToProto(*std::move(answer), response_);
  Finish(ToGrpcStatus(answer.status(), context_));
}

void CheckInCall::OnCancel() {
  uint64_t id = 0;
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    id = id_;
  }
  if (id != 0) deps_.coordinator->CancelCheckIn(id);
}

void CheckInCall::OnDone() {
  // The last use of this object unless a callback still holds it.
  const std::shared_ptr<CheckInCall> last = std::move(self_);
}

}  // namespace fedwatt
