#include "server/driver/round_metrics.h"

#include <algorithm>

#include "server/ledger/energy_ledger.h"

namespace fedwatt {
namespace {

void Book(const Report& report, JouleUse use, std::vector<EnergyTotal>* totals) {
  for (const EnergySample& sample : BookSamples(report.energy).samples) {
    AddSample(sample, use, totals);
  }
}

}  // namespace

void RoundMetrics::Losses::Add(const std::optional<LossSums>& losses) {
  if (!losses) return;
  sums.examples += losses->examples;
  sums.loss_sum += losses->loss_sum;
  sums.loss_sq_sum += losses->loss_sq_sum;
  sums.correct += losses->correct;
  sums.predictions += losses->predictions;
}

void RoundMetrics::Losses::Fill(MetricSummary* out) const {
  out->examples = sums.examples;
  if (sums.examples > 0) out->loss = sums.loss_sum / static_cast<double>(sums.examples);
  if (sums.predictions > 0) {
    out->accuracy = static_cast<double>(sums.correct) / static_cast<double>(sums.predictions);
  }
}

void RoundMetrics::AddBytes(const Report& report) {
  bytes_down_ += report.metrics.bytes_down;
  bytes_up_ += report.metrics.bytes_up;
}

void RoundMetrics::Add(const Report& report) {
  AddBytes(report);
  Book(report, JouleUse::kUseful, &energy_);
  const UpdateMetrics& metrics = report.metrics;
  before_.Add(metrics.before);
  after_.Add(metrics.after);
  for (const auto& [phase, seconds] : metrics.seconds_by_phase) seconds_[phase] += seconds;
  // A report without an example count still counts as one.
  const double weight = static_cast<double>(std::max<uint64_t>(metrics.examples, 1));
  for (const auto& [name, value] : metrics.named) {
    WeightedMean& mean = named_[name];
    mean.sum += value * weight;
    mean.weight += weight;
  }
}

void RoundMetrics::AddWasted(const Report& report) {
  AddBytes(report);
  Book(report, JouleUse::kWasted, &energy_);
}

void RoundMetrics::FillSummary(bool evaluation, RoundSummary* summary) const {
  summary->bytes_down = bytes_down_;
  summary->bytes_up = bytes_up_;
  summary->energy = energy_;
  summary->seconds_by_phase = seconds_;
  MetricSummary after;
  after_.Fill(&after);
  for (const auto& [name, mean] : named_) after.named[name] = mean.sum / mean.weight;
  if (evaluation) {
    // An evaluation trains nothing; a trainer may report what it measured as before or as after.
    if (after.examples == 0) before_.Fill(&after);
    summary->evaluation = std::move(after);
    return;
  }
  before_.Fill(&summary->train_before);
  summary->train_after = std::move(after);
}

}  // namespace fedwatt
