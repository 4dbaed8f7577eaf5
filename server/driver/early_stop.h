#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "common/model/job_spec.h"
#include "common/model/job_view.h"

// When a job has learned enough, and which of its models was the best. A pure function of the
// evaluations in order, so that a restart recomputes it from the committed rounds.
namespace fedwatt {

// The value of `metric` ("accuracy", "loss" or a user-defined name); none when it was not reported.
std::optional<double> MetricValue(const MetricSummary& summary, const std::string& metric);

class EarlyStop {
 public:
  explicit EarlyStop(JobSpec::Stop stop) : stop_(std::move(stop)) {}

  // Takes the next evaluation. True when its model is the best so far. A missing or non-finite
  // value is never progress, and counts against the patience.
  // `booked_uj`: of the job, from its beginning to this evaluation.
  bool Add(const MetricSummary& evaluation, int64_t booked_uj);

  // "target", "patience", "gain", or empty while there is reason to go on.
  const std::string& reason() const { return reason_; }
  const std::optional<double>& best() const { return best_; }

 private:
  bool Better(double value, double than) const;
  bool GainsTooLittle(double value, int64_t booked_uj);

  struct Bought {
    double value;
    int64_t booked_uj;
  };

  const JobSpec::Stop stop_;
  std::optional<double> best_;
  std::optional<double> anchor_;  // the last value that was progress by min_delta
  uint32_t without_progress_ = 0;
  std::deque<Bought> bought_;  // the last stop.gain_evaluations + 1
  std::string reason_;
};

}  // namespace fedwatt
