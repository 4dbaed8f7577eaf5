#include "common/transport/grpc_status.h"

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/transport/retry_after.h"

namespace fedwatt {
namespace {

constexpr char kRetryAfterKey[] = "fedwatt-retry-after-ms";

// The peer's limit on all trailing metadata is 8 KiB, and percent-encoding may triple a message;
// beyond it the call would fail with an error about metadata instead of ours.
constexpr size_t kMaxMessageBytes = 2048;

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message(status.message());
  if (message.size() > kMaxMessageBytes) {
    message.resize(kMaxMessageBytes - 3);
    message += "...";
  }
  return {static_cast<grpc::StatusCode>(status.raw_code()), message};
}

grpc::Status ToGrpcStatus(const absl::Status& status, grpc::ServerContextBase* context) {
  if (const std::optional<int64_t> retry_after_ms = RetryAfterMs(status)) {
    context->AddTrailingMetadata(kRetryAfterKey, absl::StrCat(*retry_after_ms));
  }
  return ToGrpcStatus(status);
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

absl::Status FromGrpcStatus(const grpc::Status& status, const grpc::ClientContext& context) {
  const absl::Status plain = FromGrpcStatus(status);
  if (plain.ok()) return plain;
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(kRetryAfterKey);
  int64_t retry_after_ms = 0;
  if (found == trailers.end() ||
      !absl::SimpleAtoi(std::string(found->second.data(), found->second.size()), &retry_after_ms)) {
    return plain;
  }
  return WithRetryAfter(plain, retry_after_ms);
}

}  // namespace fedwatt
