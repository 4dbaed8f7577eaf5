#include "common/energy/cpu_time_meter.h"

#include <cmath>
#include <optional>

#include "absl/strings/str_format.h"
#include "common/energy/open_windows.h"

namespace fedwatt {
namespace {

class CpuTimeMeter : public EnergyMeter {
 public:
  explicit CpuTimeMeter(const EnergyMeterEnv& env)
      : clock_(env.clock),
        cpu_time_us_(env.cpu_time_us),
        watts_(env.watts_per_busy_core > 0 ? env.watts_per_busy_core : kDefaultWattsPerBusyCore),
        calibrated_(env.watts_per_busy_core > 0),
        relative_sigma_(calibrated_ ? std::hypot(kCalibratedRelativeSigma, env.watts_relative_sigma)
                                    : kDefaultWattsRelativeSigma) {}

  std::string name() const override { return "cpu_time"; }
  EnergyQuality quality() const override { return EnergyQuality::kEstimated; }
  EnergyScope scope() const override { return EnergyScope::kProcess; }

  std::string description() const override {
    return absl::StrFormat("CPU time x %.3g W per busy core (%s)", watts_,
                           calibrated_ ? "calibrated" : "a guess: not calibrated");
  }

  Window Begin(Phase phase) override {
    return open_.Open({phase, clock_->MonotonicUs(), cpu_time_us_()});
  }

  EnergySample End(Window window, uint64_t bytes) override {
    EnergySample sample;
    sample.source = name();
    sample.scope = scope();
    const std::optional<Start> start = open_.Close(window, &sample);
    if (!start.has_value()) return sample;
    sample.phase = start->phase;
    sample.bytes = bytes;
    sample.duration_us = clock_->MonotonicUs() - start->at_us;
    const int64_t spent_us = cpu_time_us_() - start->cpu_us;
    if (spent_us < 0) {
      sample.reason = "the count of CPU time went back";
      return sample;
    }
    sample.quality = EnergyQuality::kEstimated;
    sample.energy_uj = std::llround(static_cast<double>(spent_us) * watts_);
    sample.sigma_uj = std::llround(static_cast<double>(*sample.energy_uj) * relative_sigma_);
    sample.idle_subtracted = true;  // an idle process spends no CPU time
    sample.coverage = 1;
    return sample;
  }

 private:
  struct Start {
    Phase phase;
    int64_t at_us;
    int64_t cpu_us;
  };
  const Clock* const clock_;
  const std::function<int64_t()> cpu_time_us_;
  const double watts_;
  const bool calibrated_;
  const double relative_sigma_;
  OpenWindows<Start> open_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeCpuTimeMeter(const EnergyMeterEnv& env) {
  if (!env.cpu_time_us || env.clock == nullptr) {
    return absl::UnavailableError("no source of CPU time was given");
  }
  return std::make_unique<CpuTimeMeter>(env);
}

}  // namespace fedwatt
