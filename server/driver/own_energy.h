#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// The coordinator's own joules, shared out to the attempts that it runs. One meter sees the whole
// process; while several attempts are open each gets an equal part of what it sees, so that their
// sum is what was spent, once. What is spent while none is open belongs to no job.
//
// With a PUE the figure is the site's: what the machine drew, times the site's power usage
// effectiveness. The source then says so ("rapl x PUE 1.3"), and a measured figure becomes derived.
//
// Thread-safe.
class OwnEnergy {
 public:
  // `pue`: at least 1.
  OwnEnergy(std::unique_ptr<EnergyMeter> meter, double pue);

  // Nothing happens if the attempt is open.
  void Begin(const std::string& attempt, Phase phase);
  // What it cost since its Begin; none if it is not open. A part that the meter could not see
  // lowers the coverage; without any figure the sample is unavailable, with the reason.
  std::vector<EnergySample> End(const std::string& attempt);
  // The same, and it stays open.
  std::vector<EnergySample> SoFar(const std::string& attempt);

 private:
  struct Open {
    Phase phase;
    double energy_uj = 0;
    double sigma_uj = 0;
    double seen_us = 0;  // of duration_us, with a figure
    int64_t duration_us = 0;
    bool shared = false;
    EnergyQuality quality = EnergyQuality::kUnavailable;
    std::string reason;
  };

  // Gives what was spent since the last cut to those who are open.
  void Cut() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  EnergySample SampleOf(const Open& open) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const double pue_;
  Mutex mutex_;
  const std::unique_ptr<EnergyMeter> meter_ ABSL_PT_GUARDED_BY(mutex_);
  EnergyMeter::Window window_ ABSL_GUARDED_BY(mutex_) = 0;  // while open_ is not empty
  std::map<std::string, Open> open_ ABSL_GUARDED_BY(mutex_);
};

// What was spent before a restart and what was since: figures of the same meter, quality and scope
// add up, others stand beside each other.
std::vector<EnergySample> AddSpent(std::vector<EnergySample> before,
                                   const std::vector<EnergySample>& since);

}  // namespace fedwatt
