#include "simulation/window_target.h"

#include <numeric>

#include "server/driver/early_stop.h"
#include "simulation/simulation.h"

namespace fedwatt {

std::optional<double> MetricOfPoint(const JobSpec& job, const SimulationPoint& point) {
  const bool evaluates = job.evaluation.every > 0;
  if (!point.committed || point.round.key.evaluation != evaluates) return std::nullopt;
  if (!evaluates) return MetricValue(point.round.train_after, job.stop.metric);
  if (!point.round.evaluation.has_value()) return std::nullopt;
  return MetricValue(*point.round.evaluation, job.stop.metric);
}

bool TargetWatch::Add(const SimulationPoint& point) {
  const std::optional<double> value = MetricOfPoint(job_, point);
  if (!value.has_value()) return reached_;
  last_.push_back(*value);
  if (last_.size() > target_.window) last_.pop_front();
  const std::optional<double> now = mean();
  if (now.has_value()) {
    reached_ |= job_.stop.mode == "min" ? *now <= target_.value : *now >= target_.value;
  }
  return reached_;
}

std::optional<double> TargetWatch::mean() const {
  if (last_.empty() || last_.size() < target_.window) return std::nullopt;
  return std::accumulate(last_.begin(), last_.end(), 0.0) / static_cast<double>(last_.size());
}

}  // namespace fedwatt
