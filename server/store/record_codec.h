#pragma once

// The store's values as bytes: proto/fedwatt/v1/store.proto. Stateless, thread-safe.
//
// Encoding refuses (INVALID_ARGUMENT, naming the field) what decoding would refuse, so that nothing
// durable is unreadable. Decoding bytes that this program did not write gives DATA_LOSS.

#include <string>

#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace fedwatt {

absl::StatusOr<std::string> EncodeJob(const JobRecord& job);
absl::StatusOr<JobRecord> DecodeJob(const std::string& bytes);

// Of a refused report that cannot be kept (an absurd weight, ...) the joules are kept.
absl::StatusOr<std::string> EncodeLogRecord(const LogRecord& record);
absl::StatusOr<LogRecord> DecodeLogRecord(const std::string& bytes);

absl::StatusOr<std::string> EncodeSummary(const RoundSummary& summary);
absl::StatusOr<RoundSummary> DecodeSummary(const std::string& bytes);

absl::StatusOr<std::string> EncodeModel(const ModelRef& model);
absl::StatusOr<ModelRef> DecodeModel(const std::string& bytes);

absl::StatusOr<std::string> EncodeLoss(const LossSums& loss);
absl::StatusOr<LossSums> DecodeLoss(const std::string& bytes);

absl::StatusOr<std::string> EncodeCost(const CostHistory& cost);
absl::StatusOr<CostHistory> DecodeCost(const std::string& bytes);

}  // namespace fedwatt
