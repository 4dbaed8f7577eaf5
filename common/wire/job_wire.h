#pragma once

// proto/fedwatt/v1/job.proto <-> common/model/{plan,job_spec}.h (rules: model_wire.h). A field that
// is absent takes the default of the struct; ToProto writes every field that has presence.

#include "absl/status/statusor.h"
#include "common/model/fleet.h"
#include "common/model/job_spec.h"
#include "common/model/plan.h"
#include "fedwatt/v1/job.pb.h"

namespace fedwatt::wire {

// Without local_epochs and local_steps: one epoch. Includes ValidatePlan.
void ToProto(const Plan& plan, v1::Plan* out);
absl::StatusOr<Plan> FromProto(const v1::Plan& in);

// Includes ValidateJobSpec.
void ToProto(const JobSpec& spec, v1::JobSpec* out);
absl::StatusOr<JobSpec> FromProto(const v1::JobSpec& in);

void ToProto(const DatasetRef& ref, v1::DatasetRef* out);
absl::StatusOr<DatasetRef> FromProto(const v1::DatasetRef& in);

}  // namespace fedwatt::wire
