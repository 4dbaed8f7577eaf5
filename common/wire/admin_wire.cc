#include "common/wire/admin_wire.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/model/field_checks.h"
#include "common/wire/client_wire.h"
#include "common/wire/job_wire.h"
#include "common/wire/message_checks.h"
#include "common/wire/model_wire.h"

namespace fedwatt::wire {
namespace {

static_assert(static_cast<int>(JobState::kRunning) == v1::JOB_STATE_RUNNING &&
              static_cast<int>(JobState::kFailed) == v1::JOB_STATE_FAILED);

// One for each (source, quality, scope); sources are few per device class.
constexpr size_t kMaxEnergyTotals = 4096;
constexpr size_t kMaxRounds = 10'000'000;
constexpr int64_t kMaxSum = std::numeric_limits<int64_t>::max();

template <typename Repeated>
absl::Status TotalsFrom(const Repeated& in, std::vector<EnergyTotal>* out) {
  FW_RETURN_IF_ERROR(
      CheckCount("number of energy totals", static_cast<uint64_t>(in.size()), 0, kMaxEnergyTotals));
  for (const v1::EnergyTotal& total : in) {
    FW_ASSIGN_OR_RETURN(EnergyTotal checked, FromProto(total));
    out->push_back(std::move(checked));
  }
  return absl::OkStatus();
}

void BudgetTo(const BudgetView& budget, v1::BudgetStatus* out) {
  out->set_booked_uj(budget.booked_uj);
  out->set_reserved_uj(budget.reserved_uj);
  out->set_estimated_uj(budget.estimated_uj);
  out->set_booked_ug(budget.booked_ug);
  out->set_reserved_ug(budget.reserved_ug);
  out->set_without_grams_uj(budget.without_grams_uj);
  out->set_carbon(budget.carbon);
  out->set_raised(budget.raised);
  out->set_capped(budget.capped);
}

absl::Status BudgetFrom(const v1::BudgetStatus& in, BudgetView* out) {
  const std::pair<const char*, int64_t> sums[] = {
      {"booked_uj", in.booked_uj()},       {"reserved_uj", in.reserved_uj()},
      {"estimated_uj", in.estimated_uj()}, {"booked_ug", in.booked_ug()},
      {"reserved_ug", in.reserved_ug()},   {"without_grams_uj", in.without_grams_uj()}};
  for (const auto& [name, value] : sums) {
    FW_RETURN_IF_ERROR(CheckSigned(name, value, 0, kMaxSum));
  }
  FW_RETURN_IF_ERROR(CheckText("carbon", in.carbon(), bounds::kMaxNameLength));
  *out = {in.booked_uj(), in.reserved_uj(), in.estimated_uj(),
          in.booked_ug(), in.reserved_ug(), in.without_grams_uj(),
          in.carbon(),    in.raised(),      in.capped()};
  return absl::OkStatus();
}

absl::Status JobTextsFrom(const v1::Job& in, JobView* out) {
  FW_RETURN_IF_ERROR(CheckId("job id", in.id()));
  out->id = in.id();
  FW_RETURN_IF_ERROR(CheckText("job reason", in.reason(), bounds::kMaxReasonLength));
  out->reason = in.reason();
  FW_RETURN_IF_ERROR(CheckText("job stop_reason", in.stop_reason(), bounds::kMaxReasonLength));
  out->stop_reason = in.stop_reason();
  return absl::OkStatus();
}

}  // namespace

void ToProto(const EnergyTotal& total, v1::EnergyTotal* out) {
  out->set_source(total.source);
  out->set_quality(static_cast<v1::EnergyQuality>(total.quality));
  out->set_scope(static_cast<v1::EnergyScope>(total.scope));
  out->set_useful_uj(total.useful_uj);
  out->set_wasted_uj(total.wasted_uj);
  out->set_samples(total.samples);
  out->set_unavailable(total.unavailable);
}

absl::StatusOr<EnergyTotal> FromProto(const v1::EnergyTotal& in) {
  EnergyTotal out;
  FW_RETURN_IF_ERROR(CheckText("energy source", in.source(), bounds::kMaxNameLength));
  out.source = in.source();
  FW_RETURN_IF_ERROR(
      EnumFrom("energy quality", in.quality(), EnergyQuality::kUnavailable, &out.quality));
  FW_RETURN_IF_ERROR(EnumFrom("energy scope", in.scope(), EnergyScope::kDevice, &out.scope));
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  FW_RETURN_IF_ERROR(CheckSigned("useful_uj", in.useful_uj(), 0, kMax));
  FW_RETURN_IF_ERROR(CheckSigned("wasted_uj", in.wasted_uj(), 0, kMax));
  out.useful_uj = in.useful_uj();
  out.wasted_uj = in.wasted_uj();
  out.samples = in.samples();
  out.unavailable = in.unavailable();
  return out;
}

void ToProto(const MetricSummary& summary, v1::MetricSummary* out) {
  out->set_examples(summary.examples);
  if (summary.loss) out->set_loss(*summary.loss);
  if (summary.accuracy) out->set_accuracy(*summary.accuracy);
  out->mutable_named()->insert(summary.named.begin(), summary.named.end());
}

absl::StatusOr<MetricSummary> FromProto(const v1::MetricSummary& in) {
  MetricSummary out;
  out.examples = in.examples();
  if (in.has_loss()) {
    FW_RETURN_IF_ERROR(CheckFinite("loss", in.loss()));
    out.loss = in.loss();
  }
  if (in.has_accuracy()) {
    FW_RETURN_IF_ERROR(CheckReal("accuracy", in.accuracy(), 0, 1));
    out.accuracy = in.accuracy();
  }
  out.named = {in.named().begin(), in.named().end()};
  FW_RETURN_IF_ERROR(CheckNamedValues("named", out.named, -1e300));
  return out;
}

void ToProto(const RoundSummary& summary, v1::RoundSummary* out) {
  ToProto(summary.key, out->mutable_key());
  out->set_phase(summary.phase);
  out->set_assigned(summary.assigned);
  out->set_reported(summary.reported);
  out->set_failed(summary.failed);
  out->set_late(summary.late);
  out->set_bytes_down(summary.bytes_down);
  out->set_bytes_up(summary.bytes_up);
  for (const EnergyTotal& total : summary.energy) ToProto(total, out->add_energy());
  ToProto(summary.train_before, out->mutable_train_before());
  ToProto(summary.train_after, out->mutable_train_after());
  if (summary.evaluation) ToProto(*summary.evaluation, out->mutable_evaluation());
  ToProto(summary.model, out->mutable_model());
  out->set_started_ms(summary.started_ms);
  out->set_ended_ms(summary.ended_ms);
  out->mutable_seconds_by_phase()->insert(summary.seconds_by_phase.begin(),
                                          summary.seconds_by_phase.end());
  out->set_reason(SafeText(summary.reason, bounds::kMaxReasonLength));
  out->mutable_codecs()->insert(summary.codecs.begin(), summary.codecs.end());
  out->set_booked_uj(summary.booked_uj);
  out->set_booked_ug(summary.booked_ug);
}

absl::StatusOr<RoundSummary> FromProto(const v1::RoundSummary& in) {
  RoundSummary out;
  FW_ASSIGN_OR_RETURN(out.key, FromProto(in.key()));
  FW_RETURN_IF_ERROR(CheckText("phase", in.phase(), bounds::kMaxNameLength));
  out.phase = in.phase();
  out.assigned = in.assigned();
  out.reported = in.reported();
  out.failed = in.failed();
  out.late = in.late();
  out.bytes_down = in.bytes_down();
  out.bytes_up = in.bytes_up();
  FW_RETURN_IF_ERROR(TotalsFrom(in.energy(), &out.energy));
  FW_ASSIGN_OR_RETURN(out.train_before, FromProto(in.train_before()));
  FW_ASSIGN_OR_RETURN(out.train_after, FromProto(in.train_after()));
  if (in.has_evaluation()) {
    FW_ASSIGN_OR_RETURN(out.evaluation, FromProto(in.evaluation()));
  }
  FW_ASSIGN_OR_RETURN(out.model, FromProto(in.model()));
  out.started_ms = in.started_ms();
  out.ended_ms = in.ended_ms();
  out.seconds_by_phase = {in.seconds_by_phase().begin(), in.seconds_by_phase().end()};
  FW_RETURN_IF_ERROR(CheckNamedValues("seconds_by_phase", out.seconds_by_phase, 0));
  FW_RETURN_IF_ERROR(CheckText("reason", in.reason(), bounds::kMaxReasonLength));
  out.reason = in.reason();
  FW_RETURN_IF_ERROR(CheckCount("number of codecs", in.codecs().size(), 0, bounds::kMaxOffers));
  out.codecs = {in.codecs().begin(), in.codecs().end()};
  FW_RETURN_IF_ERROR(CheckSigned("booked_uj", in.booked_uj(), 0, kMaxSum));
  FW_RETURN_IF_ERROR(CheckSigned("booked_ug", in.booked_ug(), 0, kMaxSum));
  out.booked_uj = in.booked_uj();
  out.booked_ug = in.booked_ug();
  return out;
}

void ToProto(const JobView& job, v1::Job* out) {
  out->set_id(job.id);
  ToProto(job.spec, out->mutable_spec());
  out->set_state(static_cast<v1::JobState>(job.state));
  out->set_reason(SafeText(job.reason, bounds::kMaxReasonLength));
  out->set_rounds_done(job.rounds_done);
  ToProto(job.last, out->mutable_last());
  ToProto(job.best, out->mutable_best());
  if (job.best_metric) out->set_best_metric(*job.best_metric);
  for (const RoundSummary& round : job.rounds) ToProto(round, out->add_rounds());
  ToProto(job.current, out->mutable_current());
  out->set_created_ms(job.created_ms);
  out->set_ended_ms(job.ended_ms);
  for (const EnergyTotal& total : job.energy) ToProto(total, out->add_energy());
  out->set_bytes_down(job.bytes_down);
  out->set_bytes_up(job.bytes_up);
  out->set_stop_reason(SafeText(job.stop_reason, bounds::kMaxReasonLength));
  BudgetTo(job.budget, out->mutable_budget());
}

absl::StatusOr<JobView> FromProto(const v1::Job& in) {
  JobView out;
  FW_RETURN_IF_ERROR(JobTextsFrom(in, &out));
  FW_ASSIGN_OR_RETURN(out.spec, FromProto(in.spec()));
  FW_RETURN_IF_ERROR(EnumFrom("job state", in.state(), JobState::kFailed, &out.state));
  out.rounds_done = in.rounds_done();
  FW_ASSIGN_OR_RETURN(out.last, FromProto(in.last()));
  FW_ASSIGN_OR_RETURN(out.best, FromProto(in.best()));
  if (in.has_best_metric()) {
    FW_RETURN_IF_ERROR(CheckFinite("best_metric", in.best_metric()));
    out.best_metric = in.best_metric();
  }
  FW_RETURN_IF_ERROR(
      CheckCount("number of rounds", static_cast<uint64_t>(in.rounds_size()), 0, kMaxRounds));
  out.rounds.reserve(static_cast<size_t>(in.rounds_size()));
  for (const v1::RoundSummary& round : in.rounds()) {
    FW_ASSIGN_OR_RETURN(RoundSummary checked, FromProto(round));
    out.rounds.push_back(std::move(checked));
  }
  FW_ASSIGN_OR_RETURN(out.current, FromProto(in.current()));
  out.created_ms = in.created_ms();
  out.ended_ms = in.ended_ms();
  FW_RETURN_IF_ERROR(TotalsFrom(in.energy(), &out.energy));
  out.bytes_down = in.bytes_down();
  out.bytes_up = in.bytes_up();
  FW_RETURN_IF_ERROR(BudgetFrom(in.budget(), &out.budget));
  return out;
}

}  // namespace fedwatt::wire
