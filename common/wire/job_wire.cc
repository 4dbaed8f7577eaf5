#include "common/wire/job_wire.h"

#include <string>

#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/model/field_checks.h"
#include "common/wire/message_checks.h"

namespace fedwatt::wire {
namespace {

static_assert(static_cast<int>(OptimizerKind::kSgd) == v1::OPTIMIZER_KIND_SGD &&
              static_cast<int>(OptimizerKind::kAdamW) == v1::OPTIMIZER_KIND_ADAMW);
static_assert(static_cast<int>(BufferMode::kAverage) == v1::BUFFER_MODE_AVERAGE &&
              static_cast<int>(BufferMode::kFrozen) == v1::BUFFER_MODE_FROZEN);
static_assert(static_cast<int>(LocalEvaluation::kNone) == v1::LOCAL_EVALUATION_NONE &&
              static_cast<int>(LocalEvaluation::kBoth) == v1::LOCAL_EVALUATION_BOTH);
static_assert(static_cast<int>(WeightBy::kExamples) == v1::WEIGHT_BY_EXAMPLES &&
              static_cast<int>(WeightBy::kUniform) == v1::WEIGHT_BY_UNIFORM);

void OptimizerTo(const OptimizerSpec& optimizer, v1::OptimizerSpec* out) {
  out->set_kind(static_cast<v1::OptimizerKind>(optimizer.kind));
  out->set_lr(optimizer.lr);
  out->set_momentum(optimizer.momentum);
  out->set_weight_decay(optimizer.weight_decay);
  out->set_beta1(optimizer.beta1);
  out->set_beta2(optimizer.beta2);
  out->set_eps(optimizer.eps);
  out->set_nesterov(optimizer.nesterov);
}

absl::Status OptimizerFrom(const v1::OptimizerSpec& in, OptimizerSpec* out) {
  FW_RETURN_IF_ERROR(
      OptionalEnumFrom("plan.optimizer.kind", in.kind(), OptimizerKind::kAdamW, &out->kind));
  if (in.has_lr()) out->lr = in.lr();
  out->momentum = in.momentum();
  out->weight_decay = in.weight_decay();
  if (in.has_beta1()) out->beta1 = in.beta1();
  if (in.has_beta2()) out->beta2 = in.beta2();
  if (in.has_eps()) out->eps = in.eps();
  out->nesterov = in.nesterov();
  return absl::OkStatus();
}

absl::Status PlanFrom(const v1::Plan& in, Plan* out) {
  if (in.has_plan_version()) out->plan_version = in.plan_version();
  out->min_sdk = in.min_sdk();
  out->expires_after_ms = in.expires_after_ms();
  FW_RETURN_IF_ERROR(OptimizerFrom(in.optimizer(), &out->optimizer));
  out->local_steps = in.local_steps();
  if (in.has_local_epochs()) {
    out->local_epochs = in.local_epochs();
  } else if (in.local_steps() > 0) {
    out->local_epochs = 0;
  }
  if (in.has_batch_size()) out->batch_size = in.batch_size();
  out->clip_grad_norm = in.clip_grad_norm();
  out->proximal_mu = in.proximal_mu();
  out->frozen.assign(in.frozen().begin(), in.frozen().end());
  FW_RETURN_IF_ERROR(
      OptionalEnumFrom("plan.buffers", in.buffers(), BufferMode::kFrozen, &out->buffers));
  FW_RETURN_IF_ERROR(OptionalEnumFrom("plan.local_evaluation", in.local_evaluation(),
                                      LocalEvaluation::kBoth, &out->local_evaluation));
  out->local_evaluation_examples = in.local_evaluation_examples();
  FW_RETURN_IF_ERROR(
      OptionalEnumFrom("plan.weight_by", in.weight_by(), WeightBy::kUniform, &out->weight_by));
  if (in.has_time_limit_ms()) out->time_limit_ms = in.time_limit_ms();
  if (in.has_step_time_limit_ms()) out->step_time_limit_ms = in.step_time_limit_ms();
  out->memory_limit_bytes = in.memory_limit_bytes();
  out->max_examples = in.max_examples();
  out->seed = in.seed();
  return absl::OkStatus();
}

void CodecTo(const JobSpec::CodecChoice& codec, v1::CodecSpec* out) {
  out->set_up(codec.up);
  out->set_down(codec.down);
  out->set_policy(codec.policy);
  out->set_max_error(codec.max_error);
  out->set_upload_share(codec.upload_share);
  out->set_keyframe_bits(codec.keyframe_bits);
}

void CodecFrom(const v1::CodecSpec& in, JobSpec::CodecChoice* out) {
  if (in.has_up()) out->up = in.up();
  if (in.has_down()) out->down = in.down();
  if (in.has_policy()) out->policy = in.policy();
  if (in.has_max_error()) out->max_error = in.max_error();
  if (in.has_upload_share()) out->upload_share = in.upload_share();
  if (in.has_keyframe_bits()) out->keyframe_bits = in.keyframe_bits();
}

void PluginTo(const PluginSpec& plugin, v1::PluginSpec* out) {
  out->set_name(plugin.name);
  out->mutable_params()->insert(plugin.params.begin(), plugin.params.end());
}

void PluginFrom(const v1::PluginSpec& in, PluginSpec* out) {
  if (!in.name().empty()) out->name = in.name();
  out->params = {in.params().begin(), in.params().end()};
}

void MatchingTo(const JobSpec& spec, v1::JobSpec* out) {
  out->mutable_model()->set_bundle(spec.model.bundle);
  out->mutable_model()->set_warm_start(spec.model.warm_start);
  out->mutable_model()->set_warm_start_version(spec.model.warm_start_version);
  out->mutable_dataset()->set_name(spec.dataset.name);
  out->mutable_dataset()->set_schema_version(spec.dataset.schema_version);
  out->mutable_dataset()->set_min_examples(spec.dataset.min_examples);
  v1::EligibilitySpec* eligibility = out->mutable_eligibility();
  eligibility->set_trainer(spec.eligibility.trainer);
  eligibility->set_min_memory_bytes(spec.eligibility.min_memory_bytes);
  eligibility->mutable_labels()->insert(spec.eligibility.labels.begin(),
                                        spec.eligibility.labels.end());
  eligibility->set_min_separation_rounds(spec.eligibility.min_separation_rounds);
}

void MatchingFrom(const v1::JobSpec& in, JobSpec* out) {
  out->model.bundle = in.model().bundle();
  out->model.warm_start = in.model().warm_start();
  if (in.model().has_warm_start_version()) {
    out->model.warm_start_version = in.model().warm_start_version();
  }
  out->dataset.name = in.dataset().name();
  out->dataset.schema_version = in.dataset().schema_version();
  out->dataset.min_examples = in.dataset().min_examples();
  const v1::EligibilitySpec& eligibility = in.eligibility();
  out->eligibility.trainer = eligibility.trainer();
  out->eligibility.min_memory_bytes = eligibility.min_memory_bytes();
  out->eligibility.labels = {eligibility.labels().begin(), eligibility.labels().end()};
  out->eligibility.min_separation_rounds = eligibility.min_separation_rounds();
}

void RoundTo(const JobSpec::RoundLimits& round, v1::RoundSpec* out) {
  out->set_goal(round.goal);
  out->set_over_selection(round.over_selection);
  out->set_min_reports(round.min_reports);
  out->set_selection_timeout_s(round.selection_timeout_s);
  out->set_report_deadline_s(round.report_deadline_s);
  out->set_max_attempts(round.max_attempts);
  out->set_backoff_initial_s(round.backoff_initial_s);
  out->set_backoff_max_s(round.backoff_max_s);
  out->set_interval_s(round.interval_s);
}

void RoundFrom(const v1::RoundSpec& in, JobSpec::RoundLimits* out) {
  out->goal = in.goal();
  if (in.has_over_selection()) out->over_selection = in.over_selection();
  out->min_reports = in.min_reports();
  if (in.has_selection_timeout_s()) out->selection_timeout_s = in.selection_timeout_s();
  if (in.has_report_deadline_s()) out->report_deadline_s = in.report_deadline_s();
  if (in.has_max_attempts()) out->max_attempts = in.max_attempts();
  if (in.has_backoff_initial_s()) out->backoff_initial_s = in.backoff_initial_s();
  if (in.has_backoff_max_s()) out->backoff_max_s = in.backoff_max_s();
  out->interval_s = in.interval_s();
}

void EndingTo(const JobSpec& spec, v1::JobSpec* out) {
  v1::EvaluationSpec* evaluation = out->mutable_evaluation();
  evaluation->set_every(spec.evaluation.every);
  evaluation->set_where(spec.evaluation.where);
  evaluation->set_clients(spec.evaluation.clients);
  evaluation->set_dataset(spec.evaluation.dataset);
  evaluation->set_max_examples(spec.evaluation.max_examples);
  evaluation->set_timeout_s(spec.evaluation.timeout_s);
  v1::StopSpec* stop = out->mutable_stop();
  stop->set_metric(spec.stop.metric);
  stop->set_mode(spec.stop.mode);
  stop->set_patience(spec.stop.patience);
  stop->set_min_delta(spec.stop.min_delta);
  if (spec.stop.target) stop->set_target(*spec.stop.target);
  stop->set_max_wall_s(spec.stop.max_wall_s);
  stop->set_min_gain_per_kj(spec.stop.min_gain_per_kj);
  stop->set_gain_evaluations(spec.stop.gain_evaluations);
  out->mutable_retention()->set_keep_last(spec.retention.keep_last);
  out->mutable_retention()->set_keep_best(spec.retention.keep_best);
  out->mutable_retention()->set_keep_every(spec.retention.keep_every);
  out->mutable_bounds()->set_max_abs_delta(spec.bounds.max_abs_delta);
  out->mutable_bounds()->set_max_weight(spec.bounds.max_weight);
  out->mutable_bounds()->set_max_update_norm(spec.bounds.max_update_norm);
}

void EndingFrom(const v1::JobSpec& in, JobSpec* out) {
  const v1::EvaluationSpec& evaluation = in.evaluation();
  out->evaluation.every = evaluation.every();
  if (evaluation.has_where()) out->evaluation.where = evaluation.where();
  out->evaluation.clients = evaluation.clients();
  out->evaluation.dataset = evaluation.dataset();
  out->evaluation.max_examples = evaluation.max_examples();
  if (evaluation.has_timeout_s()) out->evaluation.timeout_s = evaluation.timeout_s();
  const v1::StopSpec& stop = in.stop();
  if (stop.has_metric()) out->stop.metric = stop.metric();
  if (stop.has_mode()) out->stop.mode = stop.mode();
  out->stop.patience = stop.patience();
  out->stop.min_delta = stop.min_delta();
  if (stop.has_target()) out->stop.target = stop.target();
  out->stop.max_wall_s = stop.max_wall_s();
  out->stop.min_gain_per_kj = stop.min_gain_per_kj();
  if (stop.has_gain_evaluations()) out->stop.gain_evaluations = stop.gain_evaluations();
  const v1::RetentionSpec& retention = in.retention();
  if (retention.has_keep_last()) out->retention.keep_last = retention.keep_last();
  if (retention.has_keep_best()) out->retention.keep_best = retention.keep_best();
  out->retention.keep_every = retention.keep_every();
  const v1::BoundsSpec& limits = in.bounds();
  if (limits.has_max_abs_delta()) out->bounds.max_abs_delta = limits.max_abs_delta();
  if (limits.has_max_weight()) out->bounds.max_weight = limits.max_weight();
  out->bounds.max_update_norm = limits.max_update_norm();
}

void SpendingTo(const JobSpec& spec, v1::JobSpec* out) {
  v1::BudgetSpec* budget = out->mutable_budget();
  budget->set_joules(spec.budget.joules);
  budget->set_joules_per_round(spec.budget.joules_per_round);
  budget->set_joules_per_client(spec.budget.joules_per_client);
  budget->set_joules_per_day(spec.budget.joules_per_day);
  budget->set_gco2e(spec.budget.gco2e);
  budget->set_gco2e_per_round(spec.budget.gco2e_per_round);
  budget->set_gco2e_per_client(spec.budget.gco2e_per_client);
  budget->set_gco2e_per_day(spec.budget.gco2e_per_day);
  budget->set_money(spec.budget.money);
  budget->set_price_per_kwh(spec.budget.price_per_kwh);
  out->mutable_carbon()->set_source(spec.carbon.source);
  out->mutable_carbon()->set_region(spec.carbon.region);
  out->mutable_carbon()->set_pause_above(spec.carbon.pause_above);
  out->mutable_carbon()->set_pause_max_s(spec.carbon.pause_max_s);
  out->mutable_targets()->set_joules(spec.targets.joules);
  out->mutable_targets()->set_gco2e(spec.targets.gco2e);
  if (spec.targets.metric) out->mutable_targets()->set_metric(*spec.targets.metric);
}

void SpendingFrom(const v1::JobSpec& in, JobSpec* out) {
  out->budget.joules = in.budget().joules();
  out->budget.joules_per_round = in.budget().joules_per_round();
  out->budget.joules_per_client = in.budget().joules_per_client();
  out->budget.joules_per_day = in.budget().joules_per_day();
  out->budget.gco2e = in.budget().gco2e();
  out->budget.gco2e_per_round = in.budget().gco2e_per_round();
  out->budget.gco2e_per_client = in.budget().gco2e_per_client();
  out->budget.gco2e_per_day = in.budget().gco2e_per_day();
  out->budget.money = in.budget().money();
  out->budget.price_per_kwh = in.budget().price_per_kwh();
  out->carbon.source = in.carbon().source();
  out->carbon.region = in.carbon().region();
  out->carbon.pause_above = in.carbon().pause_above();
  out->carbon.pause_max_s = in.carbon().pause_max_s();
  out->targets.joules = in.targets().joules();
  out->targets.gco2e = in.targets().gco2e();
  if (in.targets().has_metric()) out->targets.metric = in.targets().metric();
}

}  // namespace

void ToProto(const Plan& plan, v1::Plan* out) {
  out->set_plan_version(plan.plan_version);
  out->set_min_sdk(plan.min_sdk);
  out->set_expires_after_ms(plan.expires_after_ms);
  OptimizerTo(plan.optimizer, out->mutable_optimizer());
  out->set_local_epochs(plan.local_epochs);
  out->set_local_steps(plan.local_steps);
  out->set_batch_size(plan.batch_size);
  out->set_clip_grad_norm(plan.clip_grad_norm);
  out->set_proximal_mu(plan.proximal_mu);
  for (const std::string& glob : plan.frozen) out->add_frozen(glob);
  out->set_buffers(static_cast<v1::BufferMode>(plan.buffers));
  out->set_local_evaluation(static_cast<v1::LocalEvaluation>(plan.local_evaluation));
  out->set_local_evaluation_examples(plan.local_evaluation_examples);
  out->set_weight_by(static_cast<v1::WeightBy>(plan.weight_by));
  out->set_time_limit_ms(plan.time_limit_ms);
  out->set_step_time_limit_ms(plan.step_time_limit_ms);
  out->set_memory_limit_bytes(plan.memory_limit_bytes);
  out->set_max_examples(plan.max_examples);
  out->set_seed(plan.seed);
}

absl::StatusOr<Plan> FromProto(const v1::Plan& in) {
  Plan plan;
  FW_RETURN_IF_ERROR(PlanFrom(in, &plan));
  FW_RETURN_IF_ERROR(ValidatePlan(plan));
  return plan;
}

void ToProto(const JobSpec& spec, v1::JobSpec* out) {
  out->set_name(spec.name);
  out->set_tenant(spec.tenant);
  out->set_population(spec.population);
  out->set_priority(spec.priority);
  out->set_rounds(spec.rounds);
  out->set_seed(spec.seed);
  MatchingTo(spec, out);
  RoundTo(spec.round, out->mutable_round());
  PluginTo(spec.selector, out->mutable_selector());
  PluginTo(spec.strategy, out->mutable_strategy());
  PluginTo(spec.aggregator, out->mutable_aggregator());
  CodecTo(spec.codec, out->mutable_codec());
  ToProto(spec.plan, out->mutable_plan());
  EndingTo(spec, out);
  SpendingTo(spec, out);
  out->set_telemetry_level(spec.telemetry_level);
}

absl::StatusOr<JobSpec> FromProto(const v1::JobSpec& in) {
  JobSpec spec;
  spec.name = in.name();
  if (in.has_tenant()) spec.tenant = in.tenant();
  if (in.has_population()) spec.population = in.population();
  spec.priority = in.priority();
  if (in.has_rounds()) spec.rounds = in.rounds();
  spec.seed = in.seed();
  MatchingFrom(in, &spec);
  RoundFrom(in.round(), &spec.round);
  PluginFrom(in.selector(), &spec.selector);
  PluginFrom(in.strategy(), &spec.strategy);
  PluginFrom(in.aggregator(), &spec.aggregator);
  CodecFrom(in.codec(), &spec.codec);
  FW_RETURN_IF_ERROR(PlanFrom(in.plan(), &spec.plan));
  EndingFrom(in, &spec);
  SpendingFrom(in, &spec);
  if (in.has_telemetry_level()) spec.telemetry_level = in.telemetry_level();
  FW_RETURN_IF_ERROR(ValidateJobSpec(spec));
  return spec;
}

void ToProto(const DatasetRef& ref, v1::DatasetRef* out) {
  out->set_name(ref.name);
  out->set_schema_version(ref.schema_version);
  out->set_example_count_bucket(ref.example_count_bucket);
}

absl::StatusOr<DatasetRef> FromProto(const v1::DatasetRef& in) {
  constexpr uint32_t kMaxBucket = 64;
  FW_RETURN_IF_ERROR(CheckText("dataset name", in.name(), bounds::kMaxNameLength));
  FW_RETURN_IF_ERROR(CheckCount("example_count_bucket", in.example_count_bucket(), 0, kMaxBucket));
  return DatasetRef{in.name(), in.schema_version(), in.example_count_bucket()};
}

}  // namespace fedwatt::wire
