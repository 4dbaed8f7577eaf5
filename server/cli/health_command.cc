#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/time.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/transport/grpc_status.h"
#include "nlohmann/json.hpp"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"

namespace fedwatt::cli {
namespace {

// Any load balancer asks the same; the empty request is about the server as a whole.
constexpr char kMethod[] = "/grpc.health.v1.Health/Check";
constexpr uint32_t kServing = 1;
constexpr int64_t kCallMs = 5'000;
constexpr int64_t kRetryMs = 250;

// HealthCheckResponse is one enum in field 1: on the wire that is a UInt32Value.
absl::StatusOr<uint32_t> ParseAnswer(const grpc::ByteBuffer& answer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (answer.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) bytes.append(slice.begin(), slice.end());
  }
  google::protobuf::UInt32Value status;
  if (!status.ParseFromString(bytes)) {
    return absl::DataLossError("what answers is no health service; check --server");
  }
  return status.value();
}

absl::StatusOr<uint32_t> Ask(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext call;
  call.set_deadline(gpr_time_from_millis(kCallMs, GPR_TIMESPAN));
  grpc::CompletionQueue queue;
  const grpc::Slice nothing;
  const auto reader = stub.PrepareUnaryCall(&call, kMethod, grpc::ByteBuffer(&nothing, 1), &queue);
  reader->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  reader->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (!status.ok()) return FromGrpcStatus(status, call);
  return ParseAnswer(answer);
}

int Show(const Context& context, uint32_t status) {
  const bool serves = status == kServing;
  if (context.json) {
    const nlohmann::json out = {{"server", context.server}, {"serving", serves}};
    std::cout << out.dump(2) << std::endl;
  } else {
    std::cout << context.server << (serves ? " serves" : " answers, and does not serve")
              << std::endl;
  }
  return serves ? kOk : kJobFailed;
}

}  // namespace

int Health(const Context& context, const HealthOptions& options) {
  const int64_t until_us =
      context.clock->MonotonicUs() + static_cast<int64_t>(options.wait_s * 1e6);
  bool told = context.json;
  while (true) {
    const int64_t left_ms = (until_us - context.clock->MonotonicUs()) / 1000;
    // A new one each time: between two calls nobody would drive the handshake of an old one.
    const auto channel = context.Open();
    if (!channel.ok()) return Fail(context, channel.status());
    const auto status = Ask(*channel);
    if (status.ok() && *status == kServing) return Show(context, *status);
    if (left_ms > 0 && !std::exchange(told, true)) {
      std::cerr << context.server << " does not serve yet; asking again" << std::endl;
    }
    if (left_ms > 0 && !context.shutdown->WaitFor(std::min(left_ms, kRetryMs))) continue;
    if (context.shutdown->requested()) return Fail(context, absl::CancelledError("interrupted"));
    if (status.ok()) return Show(context, *status);
    if (!absl::IsUnavailable(status.status()) && !absl::IsDeadlineExceeded(status.status())) {
      return Fail(context, status.status());
    }
    return Fail(context, absl::UnavailableError(
                             absl::StrCat("cannot reach a coordinator at ", context.server, " (",
                                          std::string(status.status().message()), ")")));
  }
}

}  // namespace fedwatt::cli
