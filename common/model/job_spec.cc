#include "common/model/job_spec.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/model/field_checks.h"

namespace fedwatt {
namespace {

constexpr uint32_t kMaxRounds = 10'000'000;
constexpr uint32_t kMaxPriority = 1'000'000;
constexpr uint32_t kMaxAttempts = 1'000'000;
constexpr uint32_t kMaxExamples = 1u << 31;
constexpr double kMaxOverSelection = 100;
constexpr double kMinSeconds = 0.001;
constexpr double kMaxSeconds = 365.0 * 24 * 3600;
constexpr size_t kMaxPathLength = 4096;
constexpr uint32_t kMaxTelemetryLevel = 3;
constexpr double kMaxBudget = 1e12;  // 278 GWh; below the int64 microjoules that sums are kept in

absl::Status CheckPlugin(const std::string& key, const PluginSpec& plugin,
                         const std::string& example) {
  FW_RETURN_IF_ERROR(CheckToken(absl::StrCat(key, ".name"), plugin.name, example));
  FW_RETURN_IF_ERROR(CheckCount(absl::StrCat("number of entries in ", key, ".params"),
                                plugin.params.size(), 0, bounds::kMaxOffers));
  for (const auto& [name, value] : plugin.params) {
    FW_RETURN_IF_ERROR(CheckToken(absl::StrCat("key in ", key, ".params"), name));
    FW_RETURN_IF_ERROR(CheckFinite(absl::StrCat(key, ".params.", name), value));
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const JobSpec::Model& model) {
  FW_RETURN_IF_ERROR(CheckText("model.bundle", model.bundle, kMaxPathLength));
  FW_RETURN_IF_ERROR(CheckText("model.warm_start", model.warm_start, bounds::kMaxIdLength));
  const std::string& version = model.warm_start_version;
  const bool number = !version.empty() && version.size() <= 9 &&
                      version.find_first_not_of("0123456789") == std::string::npos;
  if (version == "best" || version == "last" || number) return absl::OkStatus();
  FW_RETURN_IF_ERROR(CheckText("model.warm_start_version", version, bounds::kMaxNameLength));
  return absl::InvalidArgumentError(
      absl::StrCat("model.warm_start_version = \"", version,
                   "\": must be \"best\", \"last\" or a round number such as \"12\""));
}

absl::Status CheckMatching(const JobSpec& spec) {
  FW_RETURN_IF_ERROR(
      CheckName("dataset.name", spec.dataset.name, bounds::kMaxNameLength, "\"fashion-mnist\""));
  FW_RETURN_IF_ERROR(
      CheckCount("dataset.min_examples", spec.dataset.min_examples, 0, bounds::kMaxWeight, "100"));
  const JobSpec::Eligibility& e = spec.eligibility;
  if (!e.trainer.empty()) {
    FW_RETURN_IF_ERROR(CheckToken("eligibility.trainer", e.trainer, "\"torch\""));
  }
  FW_RETURN_IF_ERROR(CheckCount("eligibility.min_memory_bytes", e.min_memory_bytes, 0,
                                uint64_t{1} << 50, "2147483648"));
  FW_RETURN_IF_ERROR(CheckCount("number of entries in eligibility.labels", e.labels.size(), 0,
                                bounds::kMaxOffers));
  for (const auto& [name, value] : e.labels) {
    FW_RETURN_IF_ERROR(CheckName("key in eligibility.labels", name, bounds::kMaxNameLength));
    FW_RETURN_IF_ERROR(
        CheckText(absl::StrCat("eligibility.labels.", name), value, bounds::kMaxNameLength));
  }
  return CheckCount("eligibility.min_separation_rounds", e.min_separation_rounds, 0, kMaxRounds,
                    "1");
}

absl::Status CheckRound(const JobSpec::RoundLimits& round) {
  FW_RETURN_IF_ERROR(CheckCount("round.goal", round.goal, 1, bounds::kMaxReports, "8"));
  FW_RETURN_IF_ERROR(
      CheckReal("round.over_selection", round.over_selection, 1, kMaxOverSelection, "1.3"));
  const double assigned = std::ceil(round.goal * round.over_selection);
  if (assigned > static_cast<double>(bounds::kMaxReports)) {
    return absl::InvalidArgumentError(absl::StrCat("round.goal x round.over_selection = ", assigned,
                                                   ": at most ", bounds::kMaxReports,
                                                   " clients can be assigned; lower one of them"));
  }
  if (round.min_reports > round.goal) {
    return absl::InvalidArgumentError(absl::StrCat(
        "round.min_reports = ", round.min_reports, ": must be at most round.goal = ", round.goal,
        "; write e.g. min_reports = ", (round.goal + 1) / 2));
  }
  FW_RETURN_IF_ERROR(CheckReal("round.selection_timeout_s", round.selection_timeout_s, kMinSeconds,
                               kMaxSeconds, "600"));
  FW_RETURN_IF_ERROR(CheckReal("round.report_deadline_s", round.report_deadline_s, kMinSeconds,
                               kMaxSeconds, "3600"));
  FW_RETURN_IF_ERROR(CheckCount("round.max_attempts", round.max_attempts, 1, kMaxAttempts, "10"));
  FW_RETURN_IF_ERROR(
      CheckReal("round.backoff_initial_s", round.backoff_initial_s, 0, kMaxSeconds, "5"));
  FW_RETURN_IF_ERROR(CheckReal("round.backoff_max_s", round.backoff_max_s, round.backoff_initial_s,
                               kMaxSeconds, "600"));
  return CheckReal("round.interval_s", round.interval_s, 0, kMaxSeconds, "1200");
}

absl::Status CheckEvaluation(const JobSpec::Evaluation& evaluation) {
  static const std::vector<std::string> kWhere = {"evaluator", "clients"};
  FW_RETURN_IF_ERROR(CheckCount("evaluation.every", evaluation.every, 0, kMaxRounds, "1"));
  FW_RETURN_IF_ERROR(CheckWord("evaluation.where", evaluation.where, kWhere));
  const uint64_t least = evaluation.every > 0 && evaluation.where == "clients" ? 1 : 0;
  FW_RETURN_IF_ERROR(
      CheckCount("evaluation.clients", evaluation.clients, least, bounds::kMaxReports, "8"));
  FW_RETURN_IF_ERROR(CheckText("evaluation.dataset", evaluation.dataset, bounds::kMaxNameLength));
  FW_RETURN_IF_ERROR(
      CheckCount("evaluation.max_examples", evaluation.max_examples, 0, kMaxExamples, "10000"));
  return CheckReal("evaluation.timeout_s", evaluation.timeout_s, kMinSeconds, kMaxSeconds, "600");
}

absl::Status CheckStop(const JobSpec& spec) {
  static const std::vector<std::string> kModes = {"max", "min"};
  const JobSpec::Stop& stop = spec.stop;
  FW_RETURN_IF_ERROR(CheckName("stop.metric", stop.metric, bounds::kMaxNameLength, "\"accuracy\""));
  FW_RETURN_IF_ERROR(CheckWord("stop.mode", stop.mode, kModes));
  FW_RETURN_IF_ERROR(CheckCount("stop.patience", stop.patience, 0, kMaxRounds, "5"));
  FW_RETURN_IF_ERROR(CheckReal("stop.min_delta", stop.min_delta, 0, 1e12, "0.001"));
  if (stop.target) FW_RETURN_IF_ERROR(CheckFinite("stop.target", *stop.target));
  FW_RETURN_IF_ERROR(CheckReal("stop.max_wall_s", stop.max_wall_s, 0, kMaxSeconds, "86400"));
  FW_RETURN_IF_ERROR(CheckReal("stop.min_gain_per_kj", stop.min_gain_per_kj, 0, 1e12, "0.001"));
  FW_RETURN_IF_ERROR(CheckCount("stop.gain_evaluations", stop.gain_evaluations, 1, 1000, "3"));
  const std::pair<const char*, bool> needs_evaluations[] = {
      {"stop.patience", stop.patience > 0},
      {"stop.target", stop.target.has_value()},
      {"stop.min_gain_per_kj", stop.min_gain_per_kj > 0},
      {"targets.metric", spec.targets.metric.has_value()}};
  for (const auto& [key, set] : needs_evaluations) {
    if (!set || spec.evaluation.every > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(key,
                     " needs evaluations, and evaluation.every = 0 makes none; write e.g. "
                     "every = 1 under [evaluation]"));
  }
  return absl::OkStatus();
}

absl::Status CheckBudget(const JobSpec::Budget& budget) {
  const std::pair<const char*, double> limits[] = {
      {"budget.joules", budget.joules},
      {"budget.joules_per_round", budget.joules_per_round},
      {"budget.joules_per_client", budget.joules_per_client},
      {"budget.joules_per_day", budget.joules_per_day},
      {"budget.gco2e", budget.gco2e},
      {"budget.gco2e_per_round", budget.gco2e_per_round},
      {"budget.gco2e_per_client", budget.gco2e_per_client},
      {"budget.gco2e_per_day", budget.gco2e_per_day},
      {"budget.money", budget.money},
      {"budget.price_per_kwh", budget.price_per_kwh}};
  for (const auto& [key, value] : limits) {
    FW_RETURN_IF_ERROR(CheckReal(key, value, 0, kMaxBudget, "5000"));
  }
  if (budget.money > 0 && budget.price_per_kwh == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("budget.money = ", budget.money,
                     " needs the price of electricity; write e.g. price_per_kwh = 0.30"));
  }
  return absl::OkStatus();
}

absl::Status CheckCarbon(const JobSpec& spec) {
  const JobSpec::Carbon& carbon = spec.carbon;
  FW_RETURN_IF_ERROR(CheckText("carbon.source", carbon.source, bounds::kMaxNameLength));
  FW_RETURN_IF_ERROR(CheckText("carbon.region", carbon.region, bounds::kMaxNameLength));
  FW_RETURN_IF_ERROR(CheckReal("carbon.pause_above", carbon.pause_above, 0, 3000, "300"));
  FW_RETURN_IF_ERROR(CheckReal("carbon.pause_max_s", carbon.pause_max_s, 0, kMaxSeconds, "43200"));
  if ((carbon.pause_above > 0) != (carbon.pause_max_s > 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "carbon.pause_above = ", carbon.pause_above, " and carbon.pause_max_s = ",
        carbon.pause_max_s, ": a pause needs both; write e.g. pause_above = 300 and pause_max_s = ",
        "43200 (half a day)"));
  }
  FW_RETURN_IF_ERROR(CheckReal("targets.joules", spec.targets.joules, 0, kMaxBudget, "5000"));
  FW_RETURN_IF_ERROR(CheckReal("targets.gco2e", spec.targets.gco2e, 0, kMaxBudget, "500"));
  if (spec.targets.metric) return CheckFinite("targets.metric", *spec.targets.metric);
  return absl::OkStatus();
}

// The codec's own parameters are checked where codecs are made.
absl::Status CheckCodec(const JobSpec::CodecChoice& codec) {
  static const std::vector<std::string> kPolicies = {"fixed", "adaptive"};
  FW_RETURN_IF_ERROR(CheckId("codec.up", codec.up));
  FW_RETURN_IF_ERROR(CheckId("codec.down", codec.down));
  FW_RETURN_IF_ERROR(CheckWord("codec.policy", codec.policy, kPolicies));
  FW_RETURN_IF_ERROR(CheckReal("codec.max_error", codec.max_error, 1e-6, 10, "0.5"));
  FW_RETURN_IF_ERROR(CheckReal("codec.upload_share", codec.upload_share, 0.001, 1, "0.25"));
  return CheckCount("codec.keyframe_bits", codec.keyframe_bits, 4, 16, "8");
}

absl::Status CheckBounds(const JobSpec::Bounds& b) {
  FW_RETURN_IF_ERROR(CheckReal("bounds.max_abs_delta", b.max_abs_delta, 1e-9, 1e12, "64"));
  FW_RETURN_IF_ERROR(
      CheckCount("bounds.max_weight", b.max_weight, 1, bounds::kMaxWeight, "100000"));
  return CheckReal("bounds.max_update_norm", b.max_update_norm, 0, 1e18, "10");
}

}  // namespace

absl::Status ValidateJobSpec(const JobSpec& spec) {
  FW_RETURN_IF_ERROR(CheckToken("name", spec.name, "\"my-job\""));
  FW_RETURN_IF_ERROR(CheckToken("tenant", spec.tenant, "\"default\""));
  FW_RETURN_IF_ERROR(CheckToken("population", spec.population, "\"default\""));
  FW_RETURN_IF_ERROR(CheckCount("priority", spec.priority, 0, kMaxPriority, "0"));
  FW_RETURN_IF_ERROR(CheckCount("rounds", spec.rounds, 1, kMaxRounds, "10"));
  FW_RETURN_IF_ERROR(CheckModel(spec.model));
  FW_RETURN_IF_ERROR(CheckMatching(spec));
  FW_RETURN_IF_ERROR(CheckRound(spec.round));
  FW_RETURN_IF_ERROR(CheckPlugin("selector", spec.selector, "\"uniform\""));
  FW_RETURN_IF_ERROR(CheckPlugin("strategy", spec.strategy, "\"fedavg\""));
  FW_RETURN_IF_ERROR(CheckPlugin("aggregator", spec.aggregator, "\"mean\""));
  FW_RETURN_IF_ERROR(CheckCodec(spec.codec));
  FW_RETURN_IF_ERROR(ValidatePlan(spec.plan));
  FW_RETURN_IF_ERROR(CheckEvaluation(spec.evaluation));
  FW_RETURN_IF_ERROR(CheckStop(spec));
  FW_RETURN_IF_ERROR(CheckBudget(spec.budget));
  FW_RETURN_IF_ERROR(CheckCarbon(spec));
  FW_RETURN_IF_ERROR(
      CheckCount("retention.keep_last", spec.retention.keep_last, 1, 1'000'000, "2"));
  FW_RETURN_IF_ERROR(
      CheckCount("retention.keep_every", spec.retention.keep_every, 0, kMaxRounds, "10"));
  FW_RETURN_IF_ERROR(CheckBounds(spec.bounds));
  return CheckCount("telemetry_level", spec.telemetry_level, 0, kMaxTelemetryLevel, "1");
}

}  // namespace fedwatt
