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

bool EarlyStop::Add(const MetricSummary& evaluation) {
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
  }
  return best;
}

bool EarlyStop::Better(double value, double than) const {
  return stop_.mode == "min" ? value < than : value > than;
}

}  // namespace fedwatt
