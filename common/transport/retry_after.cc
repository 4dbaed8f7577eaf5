#include "common/transport/retry_after.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

constexpr char kPayload[] = "fedwatt/retry-after-ms";
constexpr int64_t kMaxRetryAfterMs = 86'400'000;

}  // namespace

absl::Status WithRetryAfter(absl::Status status, int64_t retry_after_ms) {
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(retry_after_ms)));
  return status;
}

std::optional<int64_t> RetryAfterMs(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return std::nullopt;
  int64_t retry_after_ms = 0;
  // A peer wrote this: a device must not be told to come back in a century.
  if (!absl::SimpleAtoi(std::string(*payload), &retry_after_ms) || retry_after_ms < 0 ||
      retry_after_ms > kMaxRetryAfterMs) {
    return std::nullopt;
  }
  return retry_after_ms;
}

}  // namespace fedwatt
