#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "common/model/job_spec.h"

// A target for the mean of the last few evaluations: single ones jump, and the first jump across
// the line would be a matter of luck.
//
//   TargetWatch watch(job, {.value = 0.8});
//   for (const SimulationPoint& point : points) if (watch.Add(point)) break;
namespace fedwatt {

struct SimulationPoint;

struct WindowTarget {
  double value = 0;       // of the job's stop.metric: at least (stop.mode "min": at most)
  uint32_t window = 5;    // evaluations
  bool ends_run = false;  // once it is reached
};

// What a point says of the job's stop.metric: if the job has evaluations, a committed one of them;
// else what clients found on their own data after training. None of other points.
std::optional<double> MetricOfPoint(const JobSpec& job, const SimulationPoint& point);

class TargetWatch {
 public:
  TargetWatch(const JobSpec& job, const WindowTarget& target) : job_(job), target_(target) {}

  // Takes the next point. True from the first one on with which the mean is there.
  bool Add(const SimulationPoint& point);

  // Of the last `window` values; none before there are so many.
  std::optional<double> mean() const;

 private:
  const JobSpec job_;
  const WindowTarget target_;
  std::deque<double> last_;
  bool reached_ = false;
};

}  // namespace fedwatt
