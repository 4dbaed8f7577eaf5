#include "client/sdk/report_checks.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/base/bounds.h"
#include "common/model/field_checks.h"

namespace fedwatt {
namespace {

constexpr char kDropped[] = "dropped_metrics";

int DropUnsound(std::optional<LossSums>* sums) {
  if (!sums->has_value()) return 0;
  const LossSums& value = **sums;
  const bool sound = std::isfinite(value.loss_sum) && std::isfinite(value.loss_sq_sum) &&
                     value.loss_sq_sum >= 0 && value.correct <= value.predictions;
  if (sound) return 0;
  sums->reset();
  return 1;
}

}  // namespace

void MakeReportable(UpdateMetrics* metrics) {
  int dropped = DropUnsound(&metrics->before) + DropUnsound(&metrics->after);
  const size_t before = metrics->named.size() + metrics->seconds_by_phase.size();
  std::erase_if(metrics->named, [](const auto& entry) {
    return !std::isfinite(entry.second) ||
           !CheckName("metric", entry.first, bounds::kMaxNameLength).ok();
  });
  std::erase_if(metrics->seconds_by_phase,
                [](const auto& entry) { return !std::isfinite(entry.second) || entry.second < 0; });
  while (metrics->named.size() >= bounds::kMaxMetrics) {
    metrics->named.erase(std::prev(metrics->named.end()));
  }
  dropped += static_cast<int>(before - metrics->named.size() - metrics->seconds_by_phase.size());
  if (dropped > 0) metrics->named[kDropped] += dropped;
}

uint64_t ReportedWeight(const Assignment& assignment, uint64_t trained_weight) {
  uint64_t weight = trained_weight;
  if (assignment.plan.weight_by == WeightBy::kUniform) weight = std::min<uint64_t>(weight, 1);
  const uint64_t limit = assignment.max_weight > 0 ? assignment.max_weight : bounds::kMaxWeight;
  return std::min(weight, limit);
}

void DropTotals(AssignmentKind kind, Report* report) {
  UpdateMetrics& metrics = report->metrics;
  if (kind == AssignmentKind::kTrain) {
    metrics.before.reset();
    metrics.after.reset();
    metrics.named.clear();
  }
  metrics.seconds_by_phase.clear();
  metrics.peak_memory_bytes = 0;
  std::map<Phase, EnergySample> phases;
  for (const EnergySample& sample : report->energy) {
    EnergySample& silent = phases[sample.phase];
    silent.source = "none";
    silent.phase = sample.phase;
    silent.reason = "this device's user consents to no telemetry";
  }
  report->energy.clear();
  for (auto& [phase, sample] : phases) report->energy.push_back(std::move(sample));
}

}  // namespace fedwatt
