#include "server/store/record_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/wire/admin_wire.h"
#include "common/wire/client_wire.h"
#include "common/wire/energy_wire.h"
#include "common/wire/job_wire.h"
#include "common/wire/model_wire.h"
#include "fedwatt/v1/store.pb.h"

namespace fedwatt {
namespace {

void DigestTo(const Digest& digest, std::string* out) {
  const bool none = std::all_of(digest.begin(), digest.end(), [](uint8_t b) { return b == 0; });
  if (!none) out->assign(reinterpret_cast<const char*>(digest.data()), digest.size());
}

absl::Status DigestFrom(const std::string& bytes, Digest* out) {
  out->fill(0);
  if (bytes.empty()) return absl::OkStatus();
  if (bytes.size() != out->size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a stored hash has ", bytes.size(), " bytes, not ", out->size()));
  }
  std::memcpy(out->data(), bytes.data(), out->size());
  return absl::OkStatus();
}

// ---- jobs

void ToProto(const JobRecord& job, v1::StoredJob* out) {
  out->set_id(job.id);
  wire::ToProto(job.spec, out->mutable_spec());
  out->set_request_id(job.request_id);
  DigestTo(job.bundle_sha256, out->mutable_bundle_sha256());
  DigestTo(job.initial_model, out->mutable_initial_model());
  out->set_state(static_cast<v1::JobState>(job.state));
  out->set_reason(job.reason);
  out->set_stop_reason(job.stop_reason);
  out->set_created_ms(job.created_ms);
  out->set_ended_ms(job.ended_ms);
}

absl::StatusOr<JobRecord> FromProto(const v1::StoredJob& in) {
  JobRecord job;
  job.id = in.id();
  FW_ASSIGN_OR_RETURN(job.spec, wire::FromProto(in.spec()));
  job.request_id = in.request_id();
  FW_RETURN_IF_ERROR(DigestFrom(in.bundle_sha256(), &job.bundle_sha256));
  FW_RETURN_IF_ERROR(DigestFrom(in.initial_model(), &job.initial_model));
  if (in.state() < v1::JOB_STATE_RUNNING || in.state() > v1::JOB_STATE_FAILED) {
    return absl::InvalidArgumentError(absl::StrCat("job state ", static_cast<int>(in.state())));
  }
  job.state = static_cast<JobState>(in.state());
  job.reason = in.reason();
  job.stop_reason = in.stop_reason();
  job.created_ms = in.created_ms();
  job.ended_ms = in.ended_ms();
  return job;
}

// ---- energy

void CarbonTo(const CarbonIntensity& carbon, v1::StoredCarbon* out) {
  out->set_g_per_kwh(carbon.g_per_kwh);
  out->set_kind(CarbonKindText(carbon.kind));
  out->set_source(carbon.source);
  out->set_time_ms(carbon.time_ms);
  out->set_stale(carbon.stale);
  out->set_note(carbon.note);
}

absl::StatusOr<CarbonIntensity> CarbonFrom(const v1::StoredCarbon& in) {
  CarbonIntensity carbon;
  carbon.g_per_kwh = in.g_per_kwh();
  FW_ASSIGN_OR_RETURN(carbon.kind, ParseCarbonKind(in.kind()));
  FW_RETURN_IF_ERROR(CheckIntensity(carbon.g_per_kwh, carbon.kind));
  carbon.source = in.source();
  carbon.time_ms = in.time_ms();
  carbon.stale = in.stale();
  carbon.note = in.note();
  return carbon;
}

template <typename Kind>
absl::Status ForecastsFrom(const Kind& in, std::vector<EnergyForecast>* out) {
  if (in.forecasts_size() != 0 && in.forecasts_size() != in.clients_size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(in.forecasts_size(), " forecasts for ", in.clients_size(), " assignments"));
  }
  for (const v1::StoredForecast& forecast : in.forecasts()) {
    out->push_back({forecast.mean_uj(), forecast.sigma_uj(), forecast.floor_uj(),
                    forecast.ceiling_uj(), forecast.by_prior(), forecast.device_class(),
                    forecast.units()});
  }
  return absl::OkStatus();
}

// Of records that end an attempt.
template <typename Record, typename Kind>
void CoordinatorTo(const Record& record, Kind* out) {
  for (const EnergySample& sample : record.coordinator) {
    wire::ToProto(sample, out->add_coordinator());
  }
  if (record.carbon) CarbonTo(*record.carbon, out->mutable_carbon());
}

template <typename Kind, typename Record>
absl::Status CoordinatorFrom(const Kind& in, Record* out) {
  for (const v1::EnergySample& sample : in.coordinator()) {
    out->coordinator.push_back(wire::FromProto(sample));
  }
  if (in.has_carbon()) {
    FW_ASSIGN_OR_RETURN(out->carbon, CarbonFrom(in.carbon()));
  }
  return absl::OkStatus();
}

// ---- log records

void KindTo(const AttemptBegan& record, v1::LogRecord* out) {
  v1::StoredRoundLimits* limits = out->mutable_began()->mutable_limits();
  limits->set_goal(record.limits.goal);
  limits->set_assign(record.limits.assign);
  limits->set_min_reports(record.limits.min_reports);
  limits->set_selection_timeout_ms(record.limits.selection_timeout_ms);
  limits->set_report_deadline_ms(record.limits.report_deadline_ms);
  limits->set_max_attempts(record.limits.max_attempts);
  limits->set_backoff_initial_ms(record.limits.backoff_initial_ms);
  limits->set_backoff_max_ms(record.limits.backoff_max_ms);
}

void KindTo(const ClientsAssigned& record, v1::LogRecord* out) {
  v1::ClientsAssigned* kind = out->mutable_assigned();
  kind->mutable_clients()->Add(record.clients.begin(), record.clients.end());
  kind->mutable_inclusion()->Add(record.inclusion.begin(), record.inclusion.end());
  kind->set_selector_state(record.selector_state);
  kind->mutable_codecs()->Add(record.codecs.begin(), record.codecs.end());
  kind->mutable_codec_reasons()->Add(record.codec_reasons.begin(), record.codec_reasons.end());
  kind->mutable_device_classes()->Add(record.device_classes.begin(), record.device_classes.end());
  for (const EnergyForecast& forecast : record.forecasts) {
    v1::StoredForecast* stored = kind->add_forecasts();
    stored->set_mean_uj(forecast.mean_uj);
    stored->set_sigma_uj(forecast.sigma_uj);
    stored->set_floor_uj(forecast.floor_uj);
    stored->set_ceiling_uj(forecast.ceiling_uj);
    stored->set_by_prior(forecast.by_prior);
    stored->set_device_class(forecast.device_class);
    stored->set_units(forecast.units);
  }
  if (record.carbon) CarbonTo(*record.carbon, kind->mutable_carbon());
}

void KindTo(const ReportAccepted& record, v1::LogRecord* out) {
  out->mutable_accepted()->set_index(record.index);
  wire::ToProto(record.report, out->mutable_accepted()->mutable_report());
  out->mutable_accepted()->set_clip_factor(record.clip_factor);
  out->mutable_accepted()->set_device_class(record.device_class);
  out->mutable_accepted()->mutable_sketch()->Add(record.sketch.begin(), record.sketch.end());
}

void KindTo(const ReportRefused& record, v1::LogRecord* out) {
  out->mutable_refused()->set_index(record.index);
  out->mutable_refused()->set_failed(record.failed);
  out->mutable_refused()->set_reason(record.reason);
  if (record.report) wire::ToProto(*record.report, out->mutable_refused()->mutable_report());
}

void KindTo(const CoordinatorSpent& record, v1::LogRecord* out) {
  for (const EnergySample& sample : record.samples) {
    wire::ToProto(sample, out->mutable_spent()->add_samples());
  }
}

void KindTo(const AttemptAbandoned& record, v1::LogRecord* out) {
  out->mutable_abandoned()->set_reason(record.reason);
  out->mutable_abandoned()->set_retry_at_ms(record.retry_at_ms);
  out->mutable_abandoned()->set_give_up(record.give_up);
  wire::ToProto(record.summary, out->mutable_abandoned()->mutable_summary());
  CoordinatorTo(record, out->mutable_abandoned());
}

void KindTo(const RoundCommitted& record, v1::LogRecord* out) {
  v1::RoundCommitted* kind = out->mutable_committed();
  wire::ToProto(record.model, kind->mutable_model());
  DigestTo(record.strategy_state, kind->mutable_strategy_state());
  DigestTo(record.selector_state, kind->mutable_selector_state());
  DigestTo(record.codec_state, kind->mutable_codec_state());
  kind->set_rng_counter(record.rng_counter);
  wire::ToProto(record.summary, kind->mutable_summary());
  if (record.best_metric) kind->set_best_metric(*record.best_metric);
  wire::ToProto(record.best, kind->mutable_best());
  CoordinatorTo(record, kind);
}

absl::Status KindFrom(const v1::AttemptBegan& in, AttemptBegan* out) {
  const v1::StoredRoundLimits& limits = in.limits();
  out->limits = {.goal = limits.goal(),
                 .assign = limits.assign(),
                 .min_reports = limits.min_reports(),
                 .selection_timeout_ms = limits.selection_timeout_ms(),
                 .report_deadline_ms = limits.report_deadline_ms(),
                 .max_attempts = limits.max_attempts(),
                 .backoff_initial_ms = limits.backoff_initial_ms(),
                 .backoff_max_ms = limits.backoff_max_ms()};
  return absl::OkStatus();
}

absl::Status KindFrom(const v1::ClientsAssigned& in, ClientsAssigned* out) {
  out->clients = {in.clients().begin(), in.clients().end()};
  out->inclusion = {in.inclusion().begin(), in.inclusion().end()};
  out->selector_state = in.selector_state();
  out->codecs = {in.codecs().begin(), in.codecs().end()};
  out->codec_reasons = {in.codec_reasons().begin(), in.codec_reasons().end()};
  out->device_classes = {in.device_classes().begin(), in.device_classes().end()};
  if (in.has_carbon()) {
    FW_ASSIGN_OR_RETURN(out->carbon, CarbonFrom(in.carbon()));
  }
  return ForecastsFrom(in, &out->forecasts);
}

absl::Status KindFrom(const v1::ReportAccepted& in, ReportAccepted* out) {
  out->index = in.index();
  FW_ASSIGN_OR_RETURN(out->report, wire::FromProto(in.report()));
  out->clip_factor = in.clip_factor();
  out->device_class = in.device_class();
  out->sketch = {in.sketch().begin(), in.sketch().end()};
  return absl::OkStatus();
}

absl::Status KindFrom(const v1::ReportRefused& in, ReportRefused* out) {
  out->index = in.index();
  out->failed = in.failed();
  out->reason = in.reason();
  if (in.has_report()) {
    FW_ASSIGN_OR_RETURN(out->report, wire::FromProto(in.report()));
  }
  return absl::OkStatus();
}

absl::Status KindFrom(const v1::CoordinatorSpent& in, CoordinatorSpent* out) {
  for (const v1::EnergySample& sample : in.samples()) {
    out->samples.push_back(wire::FromProto(sample));
  }
  return absl::OkStatus();
}

absl::Status KindFrom(const v1::AttemptAbandoned& in, AttemptAbandoned* out) {
  out->reason = in.reason();
  out->retry_at_ms = in.retry_at_ms();
  out->give_up = in.give_up();
  FW_ASSIGN_OR_RETURN(out->summary, wire::FromProto(in.summary()));
  return CoordinatorFrom(in, out);
}

absl::Status KindFrom(const v1::RoundCommitted& in, RoundCommitted* out) {
  FW_ASSIGN_OR_RETURN(out->model, wire::FromProto(in.model()));
  FW_RETURN_IF_ERROR(DigestFrom(in.strategy_state(), &out->strategy_state));
  FW_RETURN_IF_ERROR(DigestFrom(in.selector_state(), &out->selector_state));
  FW_RETURN_IF_ERROR(DigestFrom(in.codec_state(), &out->codec_state));
  out->rng_counter = in.rng_counter();
  FW_ASSIGN_OR_RETURN(out->summary, wire::FromProto(in.summary()));
  if (in.has_best_metric()) out->best_metric = in.best_metric();
  FW_ASSIGN_OR_RETURN(out->best, wire::FromProto(in.best()));
  return CoordinatorFrom(in, out);
}

template <typename Kind, typename ProtoKind>
absl::StatusOr<LogRecord> RecordFrom(const v1::LogRecord& in, const ProtoKind& kind) {
  Kind out;
  FW_ASSIGN_OR_RETURN(out.key, wire::FromProto(in.key()));
  out.now_ms = in.now_ms();
  FW_RETURN_IF_ERROR(KindFrom(kind, &out));
  return LogRecord(std::move(out));
}

absl::StatusOr<LogRecord> FromProto(const v1::LogRecord& in) {
  switch (in.kind_case()) {
    case v1::LogRecord::kBegan:
      return RecordFrom<AttemptBegan>(in, in.began());
    case v1::LogRecord::kAssigned:
      return RecordFrom<ClientsAssigned>(in, in.assigned());
    case v1::LogRecord::kAccepted:
      return RecordFrom<ReportAccepted>(in, in.accepted());
    case v1::LogRecord::kRefused:
      return RecordFrom<ReportRefused>(in, in.refused());
    case v1::LogRecord::kSpent:
      return RecordFrom<CoordinatorSpent>(in, in.spent());
    case v1::LogRecord::kAbandoned:
      return RecordFrom<AttemptAbandoned>(in, in.abandoned());
    case v1::LogRecord::kCommitted:
      return RecordFrom<RoundCommitted>(in, in.committed());
    case v1::LogRecord::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("a log record of a kind that this version does not know");
}

absl::StatusOr<RoundSummary> FromProto(const v1::RoundSummary& in) { return wire::FromProto(in); }
absl::StatusOr<ModelRef> FromProto(const v1::ModelRef& in) { return wire::FromProto(in); }
absl::StatusOr<LossSums> FromProto(const v1::LossSums& in) { return wire::FromProto(in); }

// ---- costs

void ToProto(const CostHistory& cost, v1::StoredCostHistory* out) {
  out->set_device_class(cost.device_class);
  for (const float rate : cost.joules.values()) out->add_joules(rate);
  for (const float rate : cost.seconds.values()) out->add_seconds(rate);
  out->set_units(cost.units);
}

absl::StatusOr<CostHistory> FromProto(const v1::StoredCostHistory& in) {
  if (!std::isfinite(in.units()) || in.units() < 0) {
    return absl::InvalidArgumentError(absl::StrCat("units of work = ", in.units()));
  }
  const auto rates = [](const auto& values) {
    return RecentRates(std::span<const float>(values.data(), static_cast<size_t>(values.size())));
  };
  return CostHistory{in.device_class(), rates(in.joules()), rates(in.seconds()), in.units()};
}

// ---- bytes

template <typename Message>
absl::StatusOr<std::string> Encode(const Message& message, const char* what) {
  if (const auto readable = FromProto(message); !readable.ok()) {
    return Annotate(readable.status(), absl::StrCat("cannot store the ", what));
  }
  return message.SerializeAsString();
}

template <typename Message>
auto Decode(const std::string& bytes, const char* what) -> decltype(FromProto(Message())) {
  Message message;
  if (!message.ParseFromString(bytes)) {
    return absl::DataLossError(absl::StrCat("a stored ", what, " of ", bytes.size(),
                                            " bytes cannot be parsed; restore from a backup"));
  }
  auto value = FromProto(message);
  if (value.ok()) return value;
  return absl::DataLossError(
      absl::StrCat("a stored ", what, " is not valid: ", std::string(value.status().message())));
}

template <typename Message, typename Value>
absl::StatusOr<std::string> EncodeWire(const Value& value, const char* what) {
  Message message;
  wire::ToProto(value, &message);
  return Encode(message, what);
}

}  // namespace

absl::StatusOr<std::string> EncodeJob(const JobRecord& job) {
  v1::StoredJob message;
  ToProto(job, &message);
  return Encode(message, "job");
}

absl::StatusOr<JobRecord> DecodeJob(const std::string& bytes) {
  return Decode<v1::StoredJob>(bytes, "job");
}

absl::StatusOr<std::string> EncodeLogRecord(const LogRecord& record) {
  v1::LogRecord message;
  std::visit(
      [&message](const auto& kind) {
        wire::ToProto(kind.key, message.mutable_key());
        message.set_now_ms(kind.now_ms);
        KindTo(kind, &message);
      },
      record);
  if (message.has_refused() && message.refused().has_report() &&
      !wire::FromProto(message.refused().report()).ok()) {
    const v1::ReportRequest full = message.refused().report();
    v1::ReportRequest* report = message.mutable_refused()->mutable_report();
    report->Clear();
    report->set_assignment_id(full.assignment_id());
    report->set_status(v1::REPORT_STATUS_FAILED);
    *report->mutable_energy() = full.energy();
  }
  return Encode(message, "log record");
}

absl::StatusOr<LogRecord> DecodeLogRecord(const std::string& bytes) {
  return Decode<v1::LogRecord>(bytes, "log record");
}

absl::StatusOr<std::string> EncodeSummary(const RoundSummary& summary) {
  return EncodeWire<v1::RoundSummary>(summary, "round summary");
}

absl::StatusOr<RoundSummary> DecodeSummary(const std::string& bytes) {
  return Decode<v1::RoundSummary>(bytes, "round summary");
}

absl::StatusOr<std::string> EncodeModel(const ModelRef& model) {
  return EncodeWire<v1::ModelRef>(model, "model reference");
}

absl::StatusOr<ModelRef> DecodeModel(const std::string& bytes) {
  return Decode<v1::ModelRef>(bytes, "model reference");
}

absl::StatusOr<std::string> EncodeLoss(const LossSums& loss) {
  return EncodeWire<v1::LossSums>(loss, "loss");
}

absl::StatusOr<LossSums> DecodeLoss(const std::string& bytes) {
  return Decode<v1::LossSums>(bytes, "loss");
}

absl::StatusOr<std::string> EncodeCost(const CostHistory& cost) {
  v1::StoredCostHistory message;
  ToProto(cost, &message);
  return Encode(message, "cost history");
}

absl::StatusOr<CostHistory> DecodeCost(const std::string& bytes) {
  return Decode<v1::StoredCostHistory>(bytes, "cost history");
}

}  // namespace fedwatt
