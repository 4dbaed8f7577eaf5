#include "simulation/measures.h"

#include <algorithm>
#include <numeric>

namespace fedwatt {
namespace {

double Joules(int64_t uj) { return static_cast<double>(uj) * 1e-6; }
double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// What all of a run cost until one of its points.
struct Cost {
  double joules = 0;
  double seconds = 0;
  double rounds = 0;
  double bytes_up = 0;
  double bytes_down = 0;
  double grams = 0;
  uint64_t assigned = 0;
};

Cost CostUntil(const SimulationResult& result, size_t points) {
  Cost cost;
  for (size_t i = 0; i < points; ++i) {
    const SimulationPoint& point = result.points[i];
    cost.joules = Joules(point.tally.spent_uj);
    cost.seconds = static_cast<double>(point.at_ms) / 1000;
    cost.grams = Joules(point.round.booked_ug);
    if (point.round.key.evaluation) continue;
    if (point.committed) cost.rounds += 1;
    cost.assigned += point.round.assigned;
    cost.bytes_up += static_cast<double>(point.round.bytes_up);
    cost.bytes_down += static_cast<double>(point.round.bytes_down);
  }
  return cost;
}

Cost CostOfAll(const SimulationResult& result) {
  Cost cost = CostUntil(result, result.points.size());
  cost.joules = Joules(result.tally.spent_uj);
  cost.seconds = static_cast<double>(result.virtual_ms) / 1000;
  return cost;
}

// Points until the target, the one that reached it included.
std::optional<size_t> PointsToTarget(const JobSpec& job, const WindowTarget& target,
                                     const SimulationResult& result) {
  TargetWatch watch(job, target);
  for (size_t i = 0; i < result.points.size(); ++i) {
    if (watch.Add(result.points[i])) return i + 1;
  }
  return std::nullopt;
}

void AddToTarget(const JobSpec& job, const WindowTarget& target, const SimulationResult& result,
                 std::vector<Measure>* measures) {
  const std::optional<size_t> points = PointsToTarget(job, target, result);
  const Cost cost = points.has_value() ? CostUntil(result, *points) : CostOfAll(result);
  measures->push_back({"reached", "", points.has_value() ? 1 : 0, {}});
  const auto add = [&](const char* name, const char* unit, double value) {
    Measure measure{name, unit, {}, {}};
    (points.has_value() ? measure.value : measure.at_least) = value;
    measures->push_back(std::move(measure));
  };
  add("joules_to_target", "J", cost.joules);
  add("seconds_to_target", "s", cost.seconds);
  add("rounds_to_target", "", cost.rounds);
  // Grams that nobody could know are absent, not zero.
  if (!result.job.budget.carbon.empty()) add("grams_to_target", "gCO2e", cost.grams);
  add("bytes_up_to_target", "B", cost.bytes_up);
  add("bytes_down_to_target", "B", cost.bytes_down);
}

// The best, and the mean of the last `window`.
void AddMetrics(const JobSpec& job, size_t window, const SimulationResult& result,
                std::vector<Measure>* measures) {
  std::vector<double> values;
  for (const MeasuredRound& round : MeasuredRoundsOf(job, result)) values.push_back(round.metric);
  const std::string& name = job.stop.metric;
  Measure best{"best_" + name, "", {}, {}};
  Measure last{"final_" + name, "", {}, {}};
  if (!values.empty()) {
    best.value = job.stop.mode == "min" ? *std::min_element(values.begin(), values.end())
                                        : *std::max_element(values.begin(), values.end());
    const size_t count = std::min(window, values.size());
    last.value = std::accumulate(values.end() - static_cast<ptrdiff_t>(count), values.end(), 0.0) /
                 static_cast<double>(count);
  }
  measures->push_back(std::move(best));
  measures->push_back(std::move(last));
}

}  // namespace

std::vector<Measure> MeasuresOf(const JobSpec& job, const std::optional<WindowTarget>& target,
                                const SimulationResult& result) {
  std::vector<Measure> measures;
  if (target.has_value()) AddToTarget(job, *target, result, &measures);
  AddMetrics(job, target.value_or(WindowTarget{}).window, result, &measures);
  const Cost cost = CostOfAll(result);
  const auto add = [&measures](const char* name, const char* unit, double value) {
    measures.push_back({name, unit, value, {}});
  };
  add("joules_total", "J", cost.joules);
  add("wasted_joules", "J", Joules(result.tally.wasted_uj));
  add("lost_joules", "J", Joules(result.tally.lost_uj));
  add("virtual_seconds", "s", cost.seconds);
  add("rounds", "", cost.rounds);
  add("participations", "", static_cast<double>(cost.assigned));
  add("participants", "", static_cast<double>(result.participants));
  add("jain_participation", "", result.jain_participation);
  add("jain_charge", "", result.jain_charge);
  measures.push_back({"worst_decile_accuracy", "", result.worst_decile_accuracy, {}});
  add("empty_batteries", "", static_cast<double>(result.tally.empty_batteries));
  add("dropouts", "", static_cast<double>(result.tally.dropouts));
  add("emptied_at_work", "", static_cast<double>(result.tally.emptied_at_work));
  add("dropout_share", "",
      Share(result.tally.emptied_at_work + result.tally.dropouts, cost.assigned));
  return measures;
}

std::vector<MeasuredRound> MeasuredRoundsOf(const JobSpec& job, const SimulationResult& result) {
  std::vector<MeasuredRound> rounds;
  for (const SimulationPoint& point : result.points) {
    const std::optional<double> metric = MetricOfPoint(job, point);
    if (!metric.has_value()) continue;
    rounds.push_back({point.round.key.round, static_cast<double>(point.at_ms) / 1000,
                      Joules(point.tally.spent_uj), *metric});
  }
  return rounds;
}

}  // namespace fedwatt
