#include "server/driver/early_stop.h"

#include <cmath>

namespace fedwatt {

std::optional<double> MetricValue(const MetricSummary& summary, const std::string& metric) {
  if (metric == "accuracy") return summary.accuracy;
  if (metric == "loss") return summary.loss;
  const auto it = summary.named.find(metric);
  if (it == summary.named.end()) return std::nullopt;
  return it->second;
}

bool EarlyStop::Add(const MetricSummary& evaluation, int64_t booked_uj) {
  const std::optional<double> value = MetricValue(evaluation, stop_.metric);
  const bool usable = value.has_value() && std::isfinite(*value);
  const double step = stop_.mode == "min" ? -stop_.min_delta : stop_.min_delta;
  if (usable && (!anchor_ || Better(*value, *anchor_ + step))) {
    anchor_ = value;
    without_progress_ = 0;
  } else {
    ++without_progress_;
  }
  const bool best = usable && (!best_ || Better(*value, *best_));
  if (best) best_ = value;
  if (usable && stop_.target && !Better(*stop_.target, *value)) {
    reason_ = "target";
  } else if (reason_.empty() && stop_.patience > 0 && without_progress_ >= stop_.patience) {
    reason_ = "patience";
  } else if (usable && GainsTooLittle(*value, booked_uj) && reason_.empty()) {
    reason_ = "gain";
  }
  return best;
}

bool EarlyStop::GainsTooLittle(double value, int64_t booked_uj) {
  if (stop_.min_gain_per_kj <= 0) return false;
  bought_.push_back({value, booked_uj});
  if (bought_.size() <= stop_.gain_evaluations) return false;
  if (bought_.size() > stop_.gain_evaluations + 1) bought_.pop_front();
  const Bought& before = bought_.front();
  const double gain = stop_.mode == "min" ? before.value - value : value - before.value;
  const double kilojoules = static_cast<double>(booked_uj - before.booked_uj) / 1e9;
  return kilojoules > 0 && gain < stop_.min_gain_per_kj * kilojoules;
}

bool EarlyStop::Better(double value, double than) const {
  return stop_.mode == "min" ? value < than : value > than;
}

}  // namespace fedwatt
