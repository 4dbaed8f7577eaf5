#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/model/fleet.h"

// What the peer has of a message once it came over the wire: the same conversions and bounds as
// over gRPC (rules: model_wire.h), for a transport that has no bytes. Thread-safe.
namespace fedwatt::wire {

template <typename Value>
struct Received {
  Value value;
  uint64_t bytes = 0;  // of the message
};

// INVALID_ARGUMENT as the receiver would say it; RESOURCE_EXHAUSTED: larger than a message may be.
absl::StatusOr<Received<CheckInRequest>> AsReceived(const CheckInRequest& request);
absl::StatusOr<Received<CheckInResponse>> AsReceived(CheckInResponse response);
absl::StatusOr<Received<Report>> AsReceived(Report report);
absl::StatusOr<Received<ReportReply>> AsReceived(const ReportReply& reply);

}  // namespace fedwatt::wire
