#include "client/trainers/worker/worker_protocol.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/client_wire.h"
#include "common/wire/job_wire.h"
#include "fedwatt/v1/trainer_worker.pb.h"

namespace fedwatt {
namespace {

constexpr uint32_t kMaxFrameBytes = 16 << 20;
constexpr int kFrameTimeoutMs = 10'000;  // for the rest of a frame that has begun
constexpr size_t kMaxErrorText = 4096;

absl::Status Gone(const std::string& why) {
  return absl::UnavailableError(absl::StrCat("the trainer process is gone (", why, ")"));
}

absl::Status WaitReadable(int fd, int64_t timeout_ms) {
  pollfd entry{fd, POLLIN, 0};
  const int ready = poll(&entry, 1, timeout_ms < 0 ? -1 : static_cast<int>(timeout_ms));
  if (ready > 0) return absl::OkStatus();
  if (ready == 0 || errno == EINTR) {
    return absl::DeadlineExceededError(absl::StrCat("no message within ", timeout_ms, " ms"));
  }
  return Gone(std::strerror(errno));
}

absl::Status ReadExactly(int fd, char* out, size_t size) {
  while (size > 0) {
    FW_RETURN_IF_ERROR(WaitReadable(fd, kFrameTimeoutMs));
    const ssize_t got = recv(fd, out, size, 0);
    if (got == 0) return Gone("it closed the connection");
    if (got < 0 && errno != EINTR) return Gone(std::strerror(errno));
    if (got > 0) {
      out += got;
      size -= static_cast<size_t>(got);
    }
  }
  return absl::OkStatus();
}

// Both ends are ours; a digest of another size is still no digest.
absl::StatusOr<Digest> DigestOf(const char* field, const std::string& bytes) {
  Digest digest{};
  if (bytes.empty()) return digest;
  if (bytes.size() != digest.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " has ", bytes.size(), " bytes, not ", digest.size()));
  }
  std::memcpy(digest.data(), bytes.data(), digest.size());
  return digest;
}

void RunToProto(const WorkerRun& run, v1::WorkerRun* out) {
  const TrainRequest& request = run.request;
  out->set_assignment_id(request.assignment_id);
  wire::ToProto(request.key, out->mutable_key());
  out->set_assignment_kind(static_cast<v1::AssignmentKind>(request.kind));
  out->set_bundle_path(request.bundle_path);
  if (request.bundle_header_sha256 != Digest{}) {
    out->set_bundle_header_sha256(std::string(AsText(request.bundle_header_sha256)));
  }
  out->set_model_path(request.model_path);
  out->set_output_path(request.output_path);
  out->set_dataset(request.dataset.ToString());
  wire::ToProto(request.plan, out->mutable_plan());
  out->set_seed_key(request.seed_key);
  out->set_time_left_ms(request.time_left_ms);
  out->set_device(run.device);
  out->set_local_buffers_path(request.local_buffers_path);
  out->set_checkpoint_path(request.checkpoint_path);
  out->set_checkpoint_identity(std::string(AsText(request.checkpoint_identity)));
  out->set_checkpoint_every_ms(request.checkpoint_every_ms);
}

absl::StatusOr<WorkerRun> RunFromProto(const v1::WorkerRun& in) {
  WorkerRun run;
  TrainRequest& request = run.request;
  request.assignment_id = in.assignment_id();
  FW_ASSIGN_OR_RETURN(request.key, wire::FromProto(in.key()));
  request.kind = in.assignment_kind() == v1::ASSIGNMENT_KIND_EVALUATE ? AssignmentKind::kEvaluate
                                                                      : AssignmentKind::kTrain;
  request.bundle_path = in.bundle_path();
  FW_ASSIGN_OR_RETURN(request.bundle_header_sha256,
                      DigestOf("bundle_header_sha256", in.bundle_header_sha256()));
  request.model_path = in.model_path();
  request.output_path = in.output_path();
  FW_ASSIGN_OR_RETURN(request.dataset, DatasetConfig::Parse(in.dataset()));
  FW_ASSIGN_OR_RETURN(request.plan, wire::FromProto(in.plan()));
  request.seed_key = in.seed_key();
  request.time_left_ms = in.time_left_ms();
  run.device = in.device();
  request.local_buffers_path = in.local_buffers_path();
  request.checkpoint_path = in.checkpoint_path();
  FW_ASSIGN_OR_RETURN(request.checkpoint_identity,
                      DigestOf("checkpoint_identity", in.checkpoint_identity()));
  request.checkpoint_every_ms = in.checkpoint_every_ms();
  return run;
}

struct EventToProto {
  v1::WorkerEvent* out;

  void operator()(const WorkerProgress& event) const {
    v1::WorkerProgress* progress = out->mutable_progress();
    progress->set_steps_done(event.progress.steps_done);
    progress->set_steps_total(event.progress.steps_total);
    progress->set_loss(event.progress.loss);
    progress->set_stage(event.stage);
    progress->set_steps_saved(event.progress.steps_saved);
  }
  void operator()(const WorkerDone& event) const {
    v1::WorkerDone* done = out->mutable_done();
    wire::ToProto(event.result.metrics, done->mutable_metrics());
    done->set_weight(event.result.weight);
    done->set_output_bytes(event.result.output_bytes);
    done->set_cpu_time_us(event.result.cpu_time_us);
  }
  void operator()(const WorkerError& event) const {
    out->mutable_error()->set_code(static_cast<int>(event.status.code()));
    out->mutable_error()->set_message(std::string(event.status.message().substr(0, kMaxErrorText)));
  }
};

absl::StatusOr<WorkerEvent> EventFromProto(const v1::WorkerEvent& in) {
  switch (in.kind_case()) {
    case v1::WorkerEvent::kProgress:
      return WorkerProgress{.progress = {.steps_done = in.progress().steps_done(),
                                         .steps_total = in.progress().steps_total(),
                                         .loss = in.progress().loss(),
                                         .steps_saved = in.progress().steps_saved()},
                            .stage = in.progress().stage()};
    case v1::WorkerEvent::kDone: {
      WorkerDone done;
      FW_ASSIGN_OR_RETURN(done.result.metrics, wire::FromProto(in.done().metrics()));
      done.result.weight = in.done().weight();
      done.result.output_bytes = in.done().output_bytes();
      done.result.cpu_time_us = in.done().cpu_time_us();
      return done;
    }
    case v1::WorkerEvent::kError: {
      const auto code = static_cast<absl::StatusCode>(in.error().code());
      const std::string message = in.error().message().substr(0, kMaxErrorText);
      const bool known = code > absl::StatusCode::kOk && code <= absl::StatusCode::kUnauthenticated;
      return WorkerError{absl::Status(known ? code : absl::StatusCode::kInternal, message)};
    }
    default:
      return absl::DataLossError("the trainer process sent an event of no kind");
  }
}

}  // namespace

absl::Status WorkerChannel::SendFrame(const std::string& body) {
  const auto length = static_cast<uint32_t>(body.size());
  std::string frame(sizeof(length), '\0');
  std::memcpy(frame.data(), &length, sizeof(length));
  frame += body;
  const char* at = frame.data();
  size_t left = frame.size();
  while (left > 0) {
    const ssize_t sent = send(fd_, at, left, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return Gone(std::strerror(errno));
    at += sent;
    left -= static_cast<size_t>(sent);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> WorkerChannel::ReceiveFrame(int64_t timeout_ms) {
  FW_RETURN_IF_ERROR(WaitReadable(fd_, timeout_ms));
  uint32_t length = 0;
  FW_RETURN_IF_ERROR(ReadExactly(fd_, reinterpret_cast<char*>(&length), sizeof(length)));
  if (length > kMaxFrameBytes) {
    return absl::DataLossError(absl::StrCat("the trainer process announced a message of ", length,
                                            " bytes; at most ", kMaxFrameBytes, " are taken"));
  }
  std::string body(length, '\0');
  FW_RETURN_IF_ERROR(ReadExactly(fd_, body.data(), body.size()));
  return body;
}

absl::Status WorkerChannel::Send(const WorkerRequest& request) {
  v1::WorkerRequest message;
  if (const auto* run = std::get_if<WorkerRun>(&request)) {
    RunToProto(*run, message.mutable_run());
  } else {
    message.mutable_cancel();
  }
  return SendFrame(message.SerializeAsString());
}

absl::Status WorkerChannel::Send(const WorkerEvent& event) {
  v1::WorkerEvent message;
  std::visit(EventToProto{&message}, event);
  return SendFrame(message.SerializeAsString());
}

absl::StatusOr<WorkerRequest> WorkerChannel::ReceiveRequest(int64_t timeout_ms) {
  FW_ASSIGN_OR_RETURN(const std::string body, ReceiveFrame(timeout_ms));
  v1::WorkerRequest message;
  if (!message.ParseFromString(body)) return absl::DataLossError("not a WorkerRequest");
  if (message.kind_case() == v1::WorkerRequest::kCancel) return WorkerCancel{};
  if (message.kind_case() != v1::WorkerRequest::kRun) {
    return absl::DataLossError("a WorkerRequest of no kind");
  }
  FW_ASSIGN_OR_RETURN(WorkerRun run, RunFromProto(message.run()));
  return run;
}

absl::StatusOr<WorkerEvent> WorkerChannel::ReceiveEvent(int64_t timeout_ms) {
  FW_ASSIGN_OR_RETURN(const std::string body, ReceiveFrame(timeout_ms));
  v1::WorkerEvent message;
  if (!message.ParseFromString(body)) return absl::DataLossError("not a WorkerEvent");
  return EventFromProto(message);
}

}  // namespace fedwatt
