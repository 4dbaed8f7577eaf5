#include <utility>

#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/model/field_checks.h"
#include "common/wire/client_wire.h"
#include "common/wire/energy_wire.h"
#include "common/wire/message_checks.h"
#include "common/wire/model_wire.h"

namespace fedwatt::wire {
namespace {

static_assert(static_cast<int>(ReportStatus::kOk) == v1::REPORT_STATUS_OK &&
              static_cast<int>(ReportStatus::kCancelled) == v1::REPORT_STATUS_CANCELLED);

constexpr uint64_t kMaxCount = uint64_t{1} << 50;
constexpr double kMaxSum = 1e300;

}  // namespace

void ToProto(const LossSums& sums, v1::LossSums* out) {
  out->set_examples(sums.examples);
  out->set_loss_sum(sums.loss_sum);
  out->set_loss_sq_sum(sums.loss_sq_sum);
  out->set_correct(sums.correct);
  out->set_predictions(sums.predictions);
}

absl::StatusOr<LossSums> FromProto(const v1::LossSums& in) {
  FW_RETURN_IF_ERROR(CheckCount("examples", in.examples(), 0, kMaxCount));
  FW_RETURN_IF_ERROR(CheckReal("loss_sum", in.loss_sum(), -kMaxSum, kMaxSum));
  FW_RETURN_IF_ERROR(CheckReal("loss_sq_sum", in.loss_sq_sum(), 0, kMaxSum));
  FW_RETURN_IF_ERROR(CheckCount("predictions", in.predictions(), 0, kMaxCount));
  FW_RETURN_IF_ERROR(CheckCount("correct", in.correct(), 0, in.predictions()));
  return LossSums{in.examples(), in.loss_sum(), in.loss_sq_sum(), in.correct(), in.predictions()};
}

void ToProto(const UpdateMetrics& metrics, v1::UpdateMetrics* out) {
  out->set_examples(metrics.examples);
  out->set_steps(metrics.steps);
  if (metrics.before) ToProto(*metrics.before, out->mutable_before());
  if (metrics.after) ToProto(*metrics.after, out->mutable_after());
  out->mutable_seconds_by_phase()->insert(metrics.seconds_by_phase.begin(),
                                          metrics.seconds_by_phase.end());
  out->set_bytes_down(metrics.bytes_down);
  out->set_bytes_up(metrics.bytes_up);
  out->mutable_named()->insert(metrics.named.begin(), metrics.named.end());
  out->set_peak_memory_bytes(metrics.peak_memory_bytes);
}

absl::StatusOr<UpdateMetrics> FromProto(const v1::UpdateMetrics& in) {
  UpdateMetrics out;
  out.examples = in.examples();
  out.steps = in.steps();
  out.bytes_down = in.bytes_down();
  out.bytes_up = in.bytes_up();
  out.peak_memory_bytes = in.peak_memory_bytes();
  FW_RETURN_IF_ERROR(CheckCount("metrics.examples", out.examples, 0, kMaxCount));
  FW_RETURN_IF_ERROR(CheckCount("metrics.steps", out.steps, 0, kMaxCount));
  FW_RETURN_IF_ERROR(CheckCount("metrics.bytes_down", out.bytes_down, 0, kMaxCount));
  FW_RETURN_IF_ERROR(CheckCount("metrics.bytes_up", out.bytes_up, 0, kMaxCount));
  FW_RETURN_IF_ERROR(CheckCount("metrics.peak_memory_bytes", out.peak_memory_bytes, 0, kMaxCount));
  if (in.has_before()) {
    absl::StatusOr<LossSums> sums = FromProto(in.before());
    if (!sums.ok()) return Annotate(sums.status(), "metrics.before");
    out.before = *sums;
  }
  if (in.has_after()) {
    absl::StatusOr<LossSums> sums = FromProto(in.after());
    if (!sums.ok()) return Annotate(sums.status(), "metrics.after");
    out.after = *sums;
  }
  out.seconds_by_phase = {in.seconds_by_phase().begin(), in.seconds_by_phase().end()};
  FW_RETURN_IF_ERROR(CheckNamedValues("metrics.seconds_by_phase", out.seconds_by_phase, 0));
  out.named = {in.named().begin(), in.named().end()};
  FW_RETURN_IF_ERROR(CheckNamedValues("metrics.named", out.named, -kMaxSum));
  return out;
}

void ToProto(const Report& report, v1::ReportRequest* out) {
  out->set_assignment_id(report.assignment_id);
  out->set_status(static_cast<v1::ReportStatus>(report.status));
  out->set_error(SafeText(report.error, bounds::kMaxReasonLength));
  DigestTo(report.base_sha256, out->mutable_base_sha256());
  out->set_weight(report.weight);
  ToProto(report.metrics, out->mutable_metrics());
  for (const EnergySample& sample : report.energy) ToProto(sample, out->add_energy());
  ToProto(report.update, out->mutable_update());
}

absl::StatusOr<Report> FromProto(const v1::ReportRequest& in) {
  Report out;
  FW_RETURN_IF_ERROR(CheckId("assignment_id", in.assignment_id()));
  out.assignment_id = in.assignment_id();
  FW_RETURN_IF_ERROR(EnumFrom("status", in.status(), ReportStatus::kCancelled, &out.status));
  FW_RETURN_IF_ERROR(CheckText("error", in.error(), bounds::kMaxReasonLength));
  out.error = in.error();
  FW_RETURN_IF_ERROR(DigestFrom("base_sha256", in.base_sha256(), &out.base_sha256));
  FW_RETURN_IF_ERROR(CheckCount("weight", in.weight(), 0, bounds::kMaxWeight));
  out.weight = in.weight();
  FW_ASSIGN_OR_RETURN(out.metrics, FromProto(in.metrics()));
  FW_RETURN_IF_ERROR(CheckCount("number of energy samples", static_cast<uint64_t>(in.energy_size()),
                                0, bounds::kMaxEnergySamples));
  for (const v1::EnergySample& sample : in.energy()) out.energy.push_back(FromProto(sample));
  FW_ASSIGN_OR_RETURN(out.update, FromProto(in.update()));
  return out;
}

void ToProto(const ReportReply& reply, v1::ReportResponse* out) {
  out->set_accepted(reply.accepted);
  out->set_outcome(static_cast<v1::Outcome>(reply.outcome));
  out->set_reason(SafeText(reply.reason, bounds::kMaxReasonLength));
  out->set_retry_after_ms(reply.retry_after_ms);
}

absl::StatusOr<ReportReply> FromProto(const v1::ReportResponse& in) {
  ReportReply out;
  out.accepted = in.accepted();
  FW_RETURN_IF_ERROR(EnumFrom("outcome", in.outcome(), Outcome::kUnknown, &out.outcome));
  FW_RETURN_IF_ERROR(CheckText("reason", in.reason(), bounds::kMaxReasonLength));
  out.reason = in.reason();
  FW_RETURN_IF_ERROR(CheckSigned("retry_after_ms", in.retry_after_ms(), 0, kMaxDurationMs));
  out.retry_after_ms = in.retry_after_ms();
  return out;
}

void ToProto(const UploadOffset& offset, v1::UploadStatusResponse* out) {
  out->set_offset(offset.offset);
  out->set_complete(offset.complete);
}

absl::StatusOr<UploadOffset> FromProto(const v1::UploadStatusResponse& in) {
  FW_RETURN_IF_ERROR(CheckCount("offset", in.offset(), 0, bounds::kMaxBlobBytes));
  return UploadOffset{in.offset(), in.complete()};
}

}  // namespace fedwatt::wire
