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

static_assert(static_cast<int>(HoldingStage::kWorking) == v1::HOLDING_STAGE_WORKING &&
              static_cast<int>(HoldingStage::kReported) == v1::HOLDING_STAGE_REPORTED);
static_assert(static_cast<int>(AssignmentKind::kTrain) == v1::ASSIGNMENT_KIND_TRAIN &&
              static_cast<int>(AssignmentKind::kEvaluate) == v1::ASSIGNMENT_KIND_EVALUATE);
static_assert(static_cast<int>(AggregationMode::kPlain) == v1::AGGREGATION_MODE_PLAIN);
static_assert(static_cast<int>(Outcome::kPending) == v1::OUTCOME_PENDING &&
              static_cast<int>(Outcome::kUnknown) == v1::OUTCOME_UNKNOWN);

constexpr uint32_t kMaxProtocol = 1000;
constexpr uint32_t kMaxTelemetryLevel = 100;
constexpr double kMaxWeightMultiplier = 1e6;
constexpr double kMaxCost = 1e15;  // of any unit: no device is so fast or so hungry

template <typename Repeated>
absl::Status NamesFrom(const std::string& key, const Repeated& in, std::vector<std::string>* out) {
  FW_RETURN_IF_ERROR(CheckCount(absl::StrCat("number of ", key), static_cast<uint64_t>(in.size()),
                                0, bounds::kMaxOffers));
  for (const std::string& name : in) {
    FW_RETURN_IF_ERROR(CheckName(key, name, bounds::kMaxNameLength));
    out->push_back(name);
  }
  return absl::OkStatus();
}

absl::Status RoleFrom(const std::string& name, Role* out) {
  if (name.empty() || name == RoleName(Role::kClient)) {
    *out = Role::kClient;
    return absl::OkStatus();
  }
  if (name == RoleName(Role::kEvaluator)) {
    *out = Role::kEvaluator;
    return absl::OkStatus();
  }
  FW_RETURN_IF_ERROR(CheckText("role", name, bounds::kMaxNameLength));
  return absl::InvalidArgumentError(
      absl::StrCat("role = \"", name, "\": who checks in must be \"client\" or \"evaluator\""));
}

absl::Status OffersFrom(const v1::CheckInRequest& in, CheckInRequest* out) {
  FW_ASSIGN_OR_RETURN(out->capabilities, FromProto(in.capabilities()));
  FW_RETURN_IF_ERROR(CheckCount("number of datasets", static_cast<uint64_t>(in.datasets_size()), 0,
                                bounds::kMaxOffers));
  for (const v1::DatasetRef& dataset : in.datasets()) {
    FW_ASSIGN_OR_RETURN(DatasetRef ref, FromProto(dataset));
    out->datasets.push_back(std::move(ref));
  }
  FW_RETURN_IF_ERROR(CheckCount("number of held assignments",
                                static_cast<uint64_t>(in.holding_size()), 0, bounds::kMaxOffers));
  for (const v1::Holding& holding : in.holding()) {
    FW_ASSIGN_OR_RETURN(Holding held, FromProto(holding));
    out->holding.push_back(std::move(held));
  }
  return absl::OkStatus();
}

absl::Status AssignmentLimitsFrom(const v1::Assignment& in, Assignment* out) {
  out->time_left_ms = in.time_left_ms();
  out->max_upload_bytes = in.max_upload_bytes();
  out->weight_multiplier = in.weight_multiplier();
  out->max_weight = in.max_weight();
  out->max_abs_delta = in.max_abs_delta();
  FW_RETURN_IF_ERROR(CheckSigned("assignment.time_left_ms", out->time_left_ms, 0, kMaxDurationMs));
  FW_RETURN_IF_ERROR(
      CheckCount("assignment.max_upload_bytes", out->max_upload_bytes, 0, bounds::kMaxBlobBytes));
  FW_RETURN_IF_ERROR(
      CheckReal("assignment.weight_multiplier", out->weight_multiplier, 0, kMaxWeightMultiplier));
  FW_RETURN_IF_ERROR(CheckCount("assignment.max_weight", out->max_weight, 0, bounds::kMaxWeight));
  return CheckReal("assignment.max_abs_delta", out->max_abs_delta, 0, 1e12);
}

absl::Status ModelStepsFrom(const v1::Assignment& in, Assignment* out) {
  FW_RETURN_IF_ERROR(CheckCount("assignment's number of model steps",
                                static_cast<uint64_t>(in.model_steps_size()), 0,
                                bounds::kMaxModelSteps));
  for (const v1::ModelStep& step : in.model_steps()) {
    ModelStep& to = out->model_steps.emplace_back();
    FW_ASSIGN_OR_RETURN(to.payload, FromProto(step.payload()));
    FW_RETURN_IF_ERROR(DigestFrom("base_sha256", step.base_sha256(), &to.base));
    FW_RETURN_IF_ERROR(DigestFrom("result_sha256", step.result_sha256(), &to.result));
  }
  return absl::OkStatus();
}

absl::Status ModelsFrom(const v1::CheckInRequest& in, CheckInRequest* out) {
  FW_RETURN_IF_ERROR(CheckCount("number of held models", static_cast<uint64_t>(in.models_size()), 0,
                                bounds::kMaxHeldModels));
  for (const std::string& model : in.models()) {
    FW_RETURN_IF_ERROR(DigestFrom("held model", model, &out->models.emplace_back()));
  }
  return absl::OkStatus();
}

void CostsTo(const CostEstimate& costs, v1::CostEstimate* out) {
  if (costs.up_bytes_per_s) out->set_up_bytes_per_s(*costs.up_bytes_per_s);
  if (costs.down_bytes_per_s) out->set_down_bytes_per_s(*costs.down_bytes_per_s);
  if (costs.up_joules_per_byte) out->set_up_joules_per_byte(*costs.up_joules_per_byte);
  if (costs.down_joules_per_byte) out->set_down_joules_per_byte(*costs.down_joules_per_byte);
  if (costs.encode_joules_per_coordinate) {
    out->set_encode_joules_per_coordinate(*costs.encode_joules_per_coordinate);
  }
  if (costs.train_joules) out->set_train_joules(*costs.train_joules);
  if (costs.train_seconds) out->set_train_seconds(*costs.train_seconds);
}

absl::Status CostFrom(const std::string& name, bool present, double value,
                      std::optional<double>* out) {
  if (!present) return absl::OkStatus();
  FW_RETURN_IF_ERROR(CheckReal(absl::StrCat("costs.", name), value, 0, kMaxCost));
  *out = value;
  return absl::OkStatus();
}

absl::StatusOr<CostEstimate> CostsFrom(const v1::CostEstimate& in) {
  CostEstimate out;
  FW_RETURN_IF_ERROR(CostFrom("up_bytes_per_s", in.has_up_bytes_per_s(), in.up_bytes_per_s(),
                              &out.up_bytes_per_s));
  FW_RETURN_IF_ERROR(CostFrom("down_bytes_per_s", in.has_down_bytes_per_s(), in.down_bytes_per_s(),
                              &out.down_bytes_per_s));
  FW_RETURN_IF_ERROR(CostFrom("up_joules_per_byte", in.has_up_joules_per_byte(),
                              in.up_joules_per_byte(), &out.up_joules_per_byte));
  FW_RETURN_IF_ERROR(CostFrom("down_joules_per_byte", in.has_down_joules_per_byte(),
                              in.down_joules_per_byte(), &out.down_joules_per_byte));
  FW_RETURN_IF_ERROR(CostFrom("encode_joules_per_coordinate", in.has_encode_joules_per_coordinate(),
                              in.encode_joules_per_coordinate(),
                              &out.encode_joules_per_coordinate));
  FW_RETURN_IF_ERROR(
      CostFrom("train_joules", in.has_train_joules(), in.train_joules(), &out.train_joules));
  FW_RETURN_IF_ERROR(
      CostFrom("train_seconds", in.has_train_seconds(), in.train_seconds(), &out.train_seconds));
  return out;
}

void TelemetryTo(const DeviceTelemetry& telemetry, v1::DeviceTelemetry* out) {
  if (telemetry.charging) out->set_charging(*telemetry.charging);
  if (telemetry.charge) out->set_charge(*telemetry.charge);
  if (telemetry.capacity) out->set_capacity(*telemetry.capacity);
  if (telemetry.link) out->set_link(*telemetry.link);
  if (telemetry.loss) out->set_loss(*telemetry.loss);
}

absl::Status BucketFrom(const std::string& name, bool present, uint32_t value,
                        std::optional<uint8_t>* out) {
  if (!present) return absl::OkStatus();
  FW_RETURN_IF_ERROR(CheckCount(absl::StrCat("telemetry.", name), value, 0, kTelemetryBuckets - 1));
  *out = static_cast<uint8_t>(value);
  return absl::OkStatus();
}

absl::StatusOr<DeviceTelemetry> TelemetryFrom(const v1::DeviceTelemetry& in) {
  DeviceTelemetry out;
  if (in.has_charging()) out.charging = in.charging();
  FW_RETURN_IF_ERROR(BucketFrom("charge", in.has_charge(), in.charge(), &out.charge));
  FW_RETURN_IF_ERROR(BucketFrom("capacity", in.has_capacity(), in.capacity(), &out.capacity));
  FW_RETURN_IF_ERROR(BucketFrom("link", in.has_link(), in.link(), &out.link));
  FW_RETURN_IF_ERROR(BucketFrom("loss", in.has_loss(), in.loss(), &out.loss));
  return out;
}

}  // namespace

void ToProto(const RoundKey& key, v1::RoundKey* out) {
  out->set_job(key.job);
  out->set_round(key.round);
  out->set_attempt(key.attempt);
  out->set_evaluation(key.evaluation);
}

absl::StatusOr<RoundKey> FromProto(const v1::RoundKey& in) {
  if (!in.job().empty()) FW_RETURN_IF_ERROR(CheckId("round key's job", in.job()));
  return RoundKey{in.job(), in.round(), in.attempt(), in.evaluation()};
}

void ToProto(const Capabilities& capabilities, v1::Capabilities* out) {
  for (const std::string& name : capabilities.trainers) out->add_trainers(name);
  for (const std::string& name : capabilities.artifact_formats) out->add_artifact_formats(name);
  for (const std::string& name : capabilities.codecs) out->add_codecs(name);
  out->set_memory_bytes(capabilities.memory_bytes);
  out->mutable_labels()->insert(capabilities.labels.begin(), capabilities.labels.end());
  out->set_keeps_state(capabilities.keeps_state);
  out->set_device_class(capabilities.device_class);
}

absl::StatusOr<Capabilities> FromProto(const v1::Capabilities& in) {
  Capabilities out;
  FW_RETURN_IF_ERROR(NamesFrom("trainers", in.trainers(), &out.trainers));
  FW_RETURN_IF_ERROR(NamesFrom("artifact_formats", in.artifact_formats(), &out.artifact_formats));
  FW_RETURN_IF_ERROR(NamesFrom("codecs", in.codecs(), &out.codecs));
  out.memory_bytes = in.memory_bytes();
  FW_RETURN_IF_ERROR(CheckCount("number of labels", static_cast<uint64_t>(in.labels().size()), 0,
                                bounds::kMaxOffers));
  out.labels = {in.labels().begin(), in.labels().end()};
  for (const auto& [name, value] : out.labels) {
    FW_RETURN_IF_ERROR(CheckName("label", name, bounds::kMaxNameLength));
    FW_RETURN_IF_ERROR(CheckText(absl::StrCat("label ", name), value, bounds::kMaxNameLength));
  }
  out.keeps_state = in.keeps_state();
  FW_RETURN_IF_ERROR(CheckText("device_class", in.device_class(), bounds::kMaxNameLength));
  out.device_class = in.device_class();
  return out;
}

void ToProto(const Holding& holding, v1::Holding* out) {
  out->set_assignment_id(holding.assignment_id);
  out->set_stage(static_cast<v1::HoldingStage>(holding.stage));
}

absl::StatusOr<Holding> FromProto(const v1::Holding& in) {
  Holding out;
  FW_RETURN_IF_ERROR(CheckId("held assignment", in.assignment_id()));
  out.assignment_id = in.assignment_id();
  FW_RETURN_IF_ERROR(EnumFrom("stage", in.stage(), HoldingStage::kReported, &out.stage));
  return out;
}

void ToProto(const CheckInRequest& request, v1::CheckInRequest* out) {
  out->set_protocol_min(request.protocol_min);
  out->set_protocol_max(request.protocol_max);
  out->set_sdk_version(request.sdk_version);
  out->set_app_version(request.app_version);
  out->set_tenant(request.tenant);
  out->set_population(request.population);
  ToProto(request.capabilities, out->mutable_capabilities());
  for (const DatasetRef& dataset : request.datasets) ToProto(dataset, out->add_datasets());
  for (const Holding& holding : request.holding) ToProto(holding, out->add_holding());
  out->set_max_wait_ms(request.max_wait_ms);
  out->set_telemetry_level(request.telemetry_level);
  out->set_session(request.session);
  out->set_client_time_ms(request.client_time_ms);
  out->set_role(RoleName(request.role));
  for (const Digest& model : request.models) DigestTo(model, out->add_models());
  if (request.telemetry_level == 0) return;  // no consent
  CostsTo(request.costs, out->mutable_costs());
  TelemetryTo(AtLevel(request.telemetry, request.telemetry_level), out->mutable_telemetry());
}

absl::StatusOr<CheckInRequest> FromProto(const v1::CheckInRequest& in) {
  CheckInRequest out;
  out.protocol_min = in.protocol_min();
  out.protocol_max = in.protocol_max();
  FW_RETURN_IF_ERROR(CheckCount("protocol_min", out.protocol_min, 1, kMaxProtocol));
  FW_RETURN_IF_ERROR(CheckCount("protocol_max", out.protocol_max, out.protocol_min, kMaxProtocol));
  FW_RETURN_IF_ERROR(CheckText("sdk_version", in.sdk_version(), bounds::kMaxNameLength));
  out.sdk_version = in.sdk_version();
  FW_RETURN_IF_ERROR(CheckText("app_version", in.app_version(), bounds::kMaxNameLength));
  out.app_version = in.app_version();
  FW_RETURN_IF_ERROR(CheckToken("tenant", in.tenant()));
  out.tenant = in.tenant();
  FW_RETURN_IF_ERROR(CheckToken("population", in.population()));
  out.population = in.population();
  FW_RETURN_IF_ERROR(OffersFrom(in, &out));
  FW_RETURN_IF_ERROR(CheckSigned("max_wait_ms", in.max_wait_ms(), 0, kMaxDurationMs));
  out.max_wait_ms = in.max_wait_ms();
  FW_RETURN_IF_ERROR(CheckCount("telemetry_level", in.telemetry_level(), 0, kMaxTelemetryLevel));
  out.telemetry_level = in.telemetry_level();
  out.session = in.session();
  out.client_time_ms = in.client_time_ms();
  FW_RETURN_IF_ERROR(RoleFrom(in.role(), &out.role));
  FW_RETURN_IF_ERROR(ModelsFrom(in, &out));
  FW_ASSIGN_OR_RETURN(CostEstimate costs, CostsFrom(in.costs()));
  FW_ASSIGN_OR_RETURN(DeviceTelemetry telemetry, TelemetryFrom(in.telemetry()));
  // What came without consent is not kept.
  if (out.telemetry_level > 0) out.costs = costs;
  out.telemetry = AtLevel(telemetry, out.telemetry_level);
  return out;
}

void ToProto(const Assignment& assignment, v1::Assignment* out) {
  out->set_id(assignment.id);
  ToProto(assignment.key, out->mutable_key());
  out->set_kind(static_cast<v1::AssignmentKind>(assignment.kind));
  ToProto(assignment.base, out->mutable_base());
  ToProto(assignment.model, out->mutable_model());
  ToProto(assignment.bundle, out->mutable_bundle());
  ToProto(assignment.plan, out->mutable_plan());
  ToProto(assignment.dataset, out->mutable_dataset());
  out->set_trainer(assignment.trainer);
  out->set_codec(assignment.codec);
  out->set_time_left_ms(assignment.time_left_ms);
  out->set_max_upload_bytes(assignment.max_upload_bytes);
  out->set_weight_multiplier(assignment.weight_multiplier);
  out->set_aggregation_mode(static_cast<v1::AggregationMode>(assignment.aggregation_mode));
  out->set_cohort(assignment.cohort);
  out->set_arm(assignment.arm);
  out->set_max_weight(assignment.max_weight);
  out->set_max_abs_delta(assignment.max_abs_delta);
  for (const ModelStep& step : assignment.model_steps) {
    v1::ModelStep* const to = out->add_model_steps();
    ToProto(step.payload, to->mutable_payload());
    DigestTo(step.base, to->mutable_base_sha256());
    DigestTo(step.result, to->mutable_result_sha256());
  }
  out->set_codec_reason(SafeText(assignment.codec_reason, bounds::kMaxReasonLength));
  out->set_max_inline_bytes(assignment.max_inline_bytes);
}

absl::StatusOr<Assignment> FromProto(const v1::Assignment& in) {
  Assignment out;
  FW_RETURN_IF_ERROR(CheckId("assignment.id", in.id()));
  out.id = in.id();
  FW_RETURN_IF_ERROR(CheckId("assignment.key.job", in.key().job()));
  FW_ASSIGN_OR_RETURN(out.key, FromProto(in.key()));
  FW_RETURN_IF_ERROR(EnumFrom("assignment.kind", in.kind(), AssignmentKind::kEvaluate, &out.kind));
  FW_ASSIGN_OR_RETURN(out.base, FromProto(in.base()));
  FW_ASSIGN_OR_RETURN(out.model, FromProto(in.model()));
  FW_ASSIGN_OR_RETURN(out.bundle, FromProto(in.bundle()));
  FW_ASSIGN_OR_RETURN(out.plan, FromProto(in.plan()));
  FW_ASSIGN_OR_RETURN(out.dataset, FromProto(in.dataset()));
  FW_RETURN_IF_ERROR(CheckText("assignment.trainer", in.trainer(), bounds::kMaxNameLength));
  out.trainer = in.trainer();
  FW_RETURN_IF_ERROR(CheckText("assignment.codec", in.codec(), bounds::kMaxNameLength));
  out.codec = in.codec();
  FW_RETURN_IF_ERROR(EnumFrom("assignment.aggregation_mode", in.aggregation_mode(),
                              AggregationMode::kPlain, &out.aggregation_mode));
  FW_RETURN_IF_ERROR(CheckText("assignment.cohort", in.cohort(), bounds::kMaxNameLength));
  out.cohort = in.cohort();
  FW_RETURN_IF_ERROR(CheckText("assignment.arm", in.arm(), bounds::kMaxNameLength));
  out.arm = in.arm();
  FW_RETURN_IF_ERROR(AssignmentLimitsFrom(in, &out));
  FW_RETURN_IF_ERROR(ModelStepsFrom(in, &out));
  FW_RETURN_IF_ERROR(
      CheckText("assignment.codec_reason", in.codec_reason(), bounds::kMaxReasonLength));
  out.codec_reason = in.codec_reason();
  FW_RETURN_IF_ERROR(
      CheckCount("assignment.max_inline_bytes", in.max_inline_bytes(), 0, bounds::kMaxInlineBytes));
  out.max_inline_bytes = in.max_inline_bytes();
  return out;
}

void ToProto(const Rejection& rejection, v1::Rejection* out) {
  out->set_reason(SafeText(rejection.reason, bounds::kMaxReasonLength));
  out->set_retry_after_ms(rejection.retry_after_ms);
}

absl::StatusOr<Rejection> FromProto(const v1::Rejection& in) {
  FW_RETURN_IF_ERROR(CheckText("rejection.reason", in.reason(), bounds::kMaxReasonLength));
  FW_RETURN_IF_ERROR(
      CheckSigned("rejection.retry_after_ms", in.retry_after_ms(), 0, kMaxDurationMs));
  return Rejection{in.reason(), in.retry_after_ms()};
}

void ToProto(const OutcomeNotice& notice, v1::OutcomeNotice* out) {
  out->set_assignment_id(notice.assignment_id);
  out->set_outcome(static_cast<v1::Outcome>(notice.outcome));
  out->set_reason(SafeText(notice.reason, bounds::kMaxReasonLength));
}

absl::StatusOr<OutcomeNotice> FromProto(const v1::OutcomeNotice& in) {
  OutcomeNotice out;
  FW_RETURN_IF_ERROR(CheckId("outcome's assignment", in.assignment_id()));
  out.assignment_id = in.assignment_id();
  FW_RETURN_IF_ERROR(EnumFrom("outcome", in.outcome(), Outcome::kUnknown, &out.outcome));
  FW_RETURN_IF_ERROR(CheckText("outcome's reason", in.reason(), bounds::kMaxReasonLength));
  out.reason = in.reason();
  return out;
}

void ToProto(const CheckInResponse& response, v1::CheckInResponse* out) {
  out->set_protocol(response.protocol);
  out->set_server_time_ms(response.server_time_ms);
  for (const OutcomeNotice& notice : response.outcomes) ToProto(notice, out->add_outcomes());
  if (response.assignment) {
    ToProto(*response.assignment, out->mutable_assignment());
  } else if (response.rejection) {
    ToProto(*response.rejection, out->mutable_rejection());
  } else if (!response.forward.empty()) {
    out->mutable_forward()->set_address(response.forward);
  }
}

absl::StatusOr<CheckInResponse> FromProto(const v1::CheckInResponse& in) {
  CheckInResponse out;
  FW_RETURN_IF_ERROR(CheckCount("protocol", in.protocol(), 1, kMaxProtocol));
  out.protocol = in.protocol();
  out.server_time_ms = in.server_time_ms();
  FW_RETURN_IF_ERROR(CheckCount("number of outcomes", static_cast<uint64_t>(in.outcomes_size()), 0,
                                bounds::kMaxOffers));
  for (const v1::OutcomeNotice& notice : in.outcomes()) {
    FW_ASSIGN_OR_RETURN(OutcomeNotice outcome, FromProto(notice));
    out.outcomes.push_back(std::move(outcome));
  }
  if (in.has_assignment()) {
    FW_ASSIGN_OR_RETURN(out.assignment, FromProto(in.assignment()));
  } else if (in.has_rejection()) {
    FW_ASSIGN_OR_RETURN(out.rejection, FromProto(in.rejection()));
  } else if (in.has_forward()) {
    FW_RETURN_IF_ERROR(CheckName("forward.address", in.forward().address(), kMaxUriLength));
    out.forward = in.forward().address();
  }
  return out;
}

}  // namespace fedwatt::wire
