#pragma once

// When to try again, carried by an error: a payload of absl::Status, which grpc_status.h moves
// across the wire as trailing metadata.

#include <cstdint>
#include <optional>

#include "absl/status/status.h"

namespace fedwatt {

// `status` must not be OK.
absl::Status WithRetryAfter(absl::Status status, int64_t retry_after_ms);

// Nothing if the status carries none, or one that is not a number from 0 to one day.
std::optional<int64_t> RetryAfterMs(const absl::Status& status);

}  // namespace fedwatt
