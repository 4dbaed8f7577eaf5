#include "simulation/cli/simulation_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/hex.h"
#include "nlohmann/json.hpp"
#include "simulation/measures.h"

namespace fedwatt::cli {
namespace {

double Joules(int64_t uj) { return static_cast<double>(uj) * 1e-6; }
double Grams(int64_t ug) { return static_cast<double>(ug) * 1e-6; }
double Seconds(int64_t ms) { return static_cast<double>(ms) / 1000; }

const MetricSummary& MetricsOf(const RoundSummary& round) {
  return round.evaluation.has_value() ? *round.evaluation : round.train_after;
}

void Count(const EnergyTotal& total, double* useful_j, double* wasted_j) {
  *useful_j += Joules(total.useful_uj);
  *wasted_j += Joules(total.wasted_uj);
}

}  // namespace

std::string PointLine(const SimulationPoint& point, uint64_t rounds) {
  const RoundSummary& round = point.round;
  std::string line =
      absl::StrFormat("%12.1f s  %s %d/%d  %s, %d of %d reports", Seconds(point.at_ms),
                      round.key.evaluation ? "evaluation" : "round", round.key.round, rounds,
                      point.committed ? "committed" : "abandoned", round.reported, round.assigned);
  const MetricSummary& metrics = MetricsOf(round);
  if (metrics.accuracy.has_value())
    absl::StrAppendFormat(&line, "  accuracy %.4f", *metrics.accuracy);
  absl::StrAppendFormat(
      &line, "  %.1f J",
      Joules(point.tally.useful_uj + point.tally.wasted_uj + point.tally.lost_uj));
  if (!point.committed) absl::StrAppend(&line, "  ", round.reason);
  return line;
}

std::string SimulationSummary(const SimulationResult& result) {
  std::string text;
  const auto row = [&text](const char* name, const std::string& value) {
    absl::StrAppendFormat(&text, "  %-20s %s\n", name, value);
  };
  row("job", absl::StrCat(result.job.id, " ", JobStateName(result.job.state), " after ",
                          result.job.rounds_done, " of ", result.job.spec.rounds, " rounds"));
  if (!result.limited_by.empty()) row("limited by", result.limited_by);
  if (result.job.best_metric.has_value()) {
    row("best", absl::StrFormat("%s %.4f in round %d", result.job.spec.stop.metric,
                                *result.job.best_metric, result.job.best.version));
  }
  if (result.target_reached) row("target", "reached");
  row("virtual time", absl::StrFormat("%.1f s", Seconds(result.virtual_ms)));
  row("devices", absl::StrCat(result.participants, " took part in ", result.assignments,
                              " assignments; at most ", result.most_awake, " were awake at once"));
  double useful_j = 0;
  double wasted_j = 0;
  for (const EnergyTotal& total : result.job.energy) Count(total, &useful_j, &wasted_j);
  row("ledger", absl::StrFormat("%.1f J useful, %.1f J wasted (simulated)", useful_j, wasted_j));
  row("lost on devices", absl::StrFormat("%.1f J, on work that ended with the device: no report "
                                         "tells of it",
                                         Joules(result.tally.lost_uj)));
  if (result.tally.emitted_ug.has_value()) {
    row("grams",
        absl::StrFormat("%.3f g by each device's grid and hour, %.3f g booked (simulated)",
                        Grams(*result.tally.emitted_ug), Grams(result.job.budget.booked_ug)));
  }
  if (result.tally.without_grams_uj > 0) {
    row("without grams", absl::StrFormat("%.1f J of devices in regions without a series",
                                         Joules(result.tally.without_grams_uj)));
  }
  if (result.tally.empty_batteries + result.tally.dropouts > 0) {
    row("ended early", absl::StrCat(result.tally.empty_batteries, " by empty batteries (",
                                    result.tally.emptied_at_work, " while working), ",
                                    result.tally.dropouts, " dropped out"));
  }
  row("fairness", absl::StrFormat("Jain's index of participation %.3f, of charge %.3f",
                                  result.jain_participation, result.jain_charge));
  if (result.worst_decile_accuracy.has_value()) {
    row("worst tenth",
        absl::StrFormat("accuracy %.4f on the devices' own data", *result.worst_decile_accuracy));
  }
  if (result.coordinator_lives > 1) {
    row("coordinator", absl::StrCat("restarted ", result.coordinator_lives - 1, " times"));
  }
  row("messages", absl::StrCat(result.messages));
  row("model", DigestHex(result.job.last.sha256));
  row("trace", absl::StrCat(DigestHex(result.trace_hash), ", ", result.trace_records, " records"));
  for (const auto& [problem, count] : result.problems) {
    row("problem", absl::StrCat(count, " times: ", problem));
  }
  for (const std::string& violation : result.violations) row("VIOLATION", violation);
  return text;
}

std::string SimulationJson(const SimulationResult& result) {
  double useful_j = 0;
  double wasted_j = 0;
  for (const EnergyTotal& total : result.job.energy) Count(total, &useful_j, &wasted_j);
  nlohmann::json out = {{"job", result.job.id},
                        {"state", JobStateName(result.job.state)},
                        {"rounds", result.job.rounds_done},
                        {"stop_reason", result.job.stop_reason},
                        {"limited_by", result.limited_by},
                        {"virtual_s", Seconds(result.virtual_ms)},
                        {"assignments", result.assignments},
                        {"participants", result.participants},
                        {"most_awake", result.most_awake},
                        {"useful_j", useful_j},
                        {"wasted_j", wasted_j},
                        {"lost_j", Joules(result.tally.lost_uj)},
                        {"quality", "simulated"},
                        {"bytes_up", result.job.bytes_up},
                        {"bytes_down", result.job.bytes_down},
                        {"empty_batteries", result.tally.empty_batteries},
                        {"emptied_at_work", result.tally.emptied_at_work},
                        {"dropouts", result.tally.dropouts},
                        {"spent_j", Joules(result.tally.spent_uj)},
                        {"jain_participation", result.jain_participation},
                        {"jain_charge", result.jain_charge},
                        {"coordinator_lives", result.coordinator_lives},
                        {"messages", result.messages},
                        {"model_sha256", DigestHex(result.job.last.sha256)},
                        {"trace_sha256", DigestHex(result.trace_hash)},
                        {"trace_records", result.trace_records},
                        {"violations", result.violations},
                        {"problems", result.problems}};
  if (result.worst_decile_accuracy.has_value()) {
    out["worst_decile_accuracy"] = *result.worst_decile_accuracy;
  }
  if (result.tally.emitted_ug.has_value()) {
    out["emitted_g"] = Grams(*result.tally.emitted_ug);
    out["booked_g"] = Grams(result.job.budget.booked_ug);
    out["without_grams_j"] = Joules(result.tally.without_grams_uj);
  }
  if (result.job.best_metric.has_value()) {
    out["best"] = *result.job.best_metric;
    out["best_round"] = result.job.best.version;
  }
  return out.dump(2) + "\n";
}

std::string MeasuresJson(const std::optional<WindowTarget>& target,
                         const SimulationResult& result) {
  nlohmann::json measures = nlohmann::json::array();
  for (const Measure& measure : MeasuresOf(result.job.spec, target, result)) {
    nlohmann::json one = {{"name", measure.name}, {"unit", measure.unit}, {"value", nullptr}};
    if (measure.value.has_value()) one["value"] = *measure.value;
    if (measure.at_least.has_value()) one["at_least"] = *measure.at_least;
    measures.push_back(std::move(one));
  }
  nlohmann::json series = {{"metric", result.job.spec.stop.metric},
                           {"mode", result.job.spec.stop.mode},
                           {"rows", nlohmann::json::array()}};
  for (const MeasuredRound& round : MeasuredRoundsOf(result.job.spec, result)) {
    series["rows"].push_back({round.round, round.seconds, round.joules, round.metric});
  }
  const nlohmann::json out = {
      {"quality", "simulated"},          {"limited_by", result.limited_by},
      {"violations", result.violations}, {"trace_sha256", DigestHex(result.trace_hash)},
      {"measures", std::move(measures)}, {"series", std::move(series)}};
  return out.dump() + "\n";
}

std::string SeriesCsv(const SimulationResult& result) {
  std::string text =
      "at_s,round,attempt,kind,committed,assigned,reported,failed,late,accuracy,loss,useful_j,"
      "wasted_j,lost_j,spent_j,bytes_up,bytes_down,empty_batteries,emptied_at_work,dropouts,"
      "awake,emitted_g,booked_g\n";
  for (const SimulationPoint& point : result.points) {
    const RoundSummary& round = point.round;
    const MetricSummary& metrics = MetricsOf(round);
    const auto number = [](const std::optional<double>& value) {
      return value.has_value() ? absl::StrFormat("%.9g", *value) : std::string();
    };
    const auto grams = [](const std::optional<int64_t>& ug) {
      return ug.has_value() ? absl::StrFormat("%.6f", Grams(*ug)) : std::string();
    };
    absl::StrAppendFormat(
        &text, "%.3f,%d,%d,%s,%d,%d,%d,%d,%d,%s,%s,%.6f,%.6f,%.6f,%.6f,%d,%d,%d,%d,%d,%d,%s,%s\n",
        Seconds(point.at_ms), round.key.round, round.key.attempt,
        round.key.evaluation ? "evaluation" : "training", point.committed ? 1 : 0, round.assigned,
        round.reported, round.failed, round.late, number(metrics.accuracy), number(metrics.loss),
        Joules(point.tally.useful_uj), Joules(point.tally.wasted_uj), Joules(point.tally.lost_uj),
        Joules(point.tally.spent_uj), round.bytes_up, round.bytes_down, point.tally.empty_batteries,
        point.tally.emptied_at_work, point.tally.dropouts, point.awake,
        grams(point.tally.emitted_ug),
        grams(point.tally.emitted_ug.has_value() ? std::optional(round.booked_ug) : std::nullopt));
  }
  return text;
}

std::string SeedSearchText(const SeedSearchResult& result) {
  std::string text = absl::StrCat(
      result.seeds, " seeds, ", result.with_faults, " of them with faults: ", result.commits,
      " rounds committed, ", result.replayed, " replayed, ", result.coordinator_deaths,
      " deaths of the coordinator, ", result.jobs_completed, " jobs completed\n");
  if (!result.finding.has_value()) return absl::StrCat(text, "no violation\n");
  const SeedFinding& finding = *result.finding;
  absl::StrAppend(&text, "\nseed ", finding.seed, " breaks what must hold:\n");
  for (const std::string& violation : finding.violations) {
    absl::StrAppend(&text, "  ", violation, "\n");
  }
  absl::StrAppend(&text, "\nthe fewest faults that do:\n",
                  finding.faults.empty() ? "none\n" : finding.faults.ToString(), "\nthe trace:\n");
  for (const std::string& line : finding.trace) absl::StrAppend(&text, line, "\n");
  return text;
}

std::string SeedSearchJson(const SeedSearchResult& result) {
  nlohmann::json out = {{"seeds", result.seeds},
                        {"with_faults", result.with_faults},
                        {"coordinator_deaths", result.coordinator_deaths},
                        {"commits", result.commits},
                        {"replayed", result.replayed},
                        {"jobs_completed", result.jobs_completed}};
  if (result.finding.has_value()) {
    out["finding"] = {{"seed", result.finding->seed},
                      {"violations", result.finding->violations},
                      {"faults", result.finding->faults.ToString()},
                      {"trace", result.finding->trace}};
  }
  return out.dump(2) + "\n";
}

}  // namespace fedwatt::cli
