#pragma once

// proto/fedwatt/v1/admin_service.proto <-> common/model/job_view.h (rules: model_wire.h).

#include "absl/status/statusor.h"
#include "common/model/job_view.h"
#include "fedwatt/v1/admin_service.pb.h"

namespace fedwatt::wire {

void ToProto(const EnergyTotal& total, v1::EnergyTotal* out);
absl::StatusOr<EnergyTotal> FromProto(const v1::EnergyTotal& in);

void ToProto(const MetricSummary& summary, v1::MetricSummary* out);
absl::StatusOr<MetricSummary> FromProto(const v1::MetricSummary& in);

void ToProto(const RoundSummary& summary, v1::RoundSummary* out);
absl::StatusOr<RoundSummary> FromProto(const v1::RoundSummary& in);

void ToProto(const JobView& job, v1::Job* out);
absl::StatusOr<JobView> FromProto(const v1::Job& in);

}  // namespace fedwatt::wire
