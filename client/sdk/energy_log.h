#pragma once

// Energy of one assignment, phase by phase, from whatever meter the device has.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/energy/energy_meter.h"
#include "common/energy/energy_sample.h"

namespace fedwatt {

// Windows of a meter, or samples of quality kUnavailable (with their duration) without one. One
// window at a time.
class PhaseMeter {
 public:
  // `meter` may be null. Both outlive this object.
  PhaseMeter(EnergyMeter* meter, const Clock* clock) : meter_(meter), clock_(clock) {}

  void Begin(Phase phase);
  // `bytes`: moved since Begin.
  EnergySample End(uint64_t bytes);

 private:
  EnergyMeter* const meter_;
  const Clock* const clock_;
  Phase phase_ = Phase::kDownload;
  EnergyMeter::Window window_ = 0;
  int64_t begin_us_ = 0;
};

// Adds `sample` to the one of the same meter, quality, scope and phase, if there is one: energies,
// bytes and durations add up, sigmas in quadrature, coverage by duration. Else appends it.
//
// Of a meter's windows with and without a figure the figure stays, and its coverage tells that it
// is of a part of the time: short windows are often unavailable, and the coordinator books one
// sample of each (phase, source). Windows without one are one sample, with the first's reason.
//
// Samples beside it (EnergySample::beside) likewise, each to its own kind; none in `samples` has
// any.
void AddEnergySample(const EnergySample& sample, std::vector<EnergySample>* samples);

// What sending the report will cost cannot be in the report. The session therefore reports an
// extrapolation of this device's earlier uploads, in joules a byte, marked kEstimated (kSimulated
// for a simulated meter) with coverage 0; before the first upload, a sample of quality
// kUnavailable that says so. Sources beside the meter are extrapolated beside it.
class UploadEnergyEstimate {
 public:
  void Learn(const EnergySample& upload);
  EnergySample Estimate(uint64_t bytes) const;

 private:
  EnergySample latest_;
  uint64_t uploads_ = 0;
  double energy_uj_ = 0;
  double duration_us_ = 0;
  double bytes_ = 0;
  double rate_sum_ = 0;  // of energy per byte, upload by upload
  double rate_sum_sq_ = 0;
  std::vector<UploadEnergyEstimate> beside_;  // one for each source seen beside
};

}  // namespace fedwatt
