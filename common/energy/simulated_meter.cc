#include "common/energy/simulated_meter.h"

#include <cmath>
#include <optional>

#include "absl/strings/str_format.h"
#include "common/energy/open_windows.h"

namespace fedwatt {
namespace {

class SimulatedMeter final : public EnergyMeter {
 public:
  SimulatedMeter(const SimulatedPower& power, const Clock* clock) : power_(power), clock_(clock) {}

  std::string name() const override { return "simulated"; }
  EnergyQuality quality() const override { return EnergyQuality::kSimulated; }
  EnergyScope scope() const override { return EnergyScope::kDevice; }
  std::string description() const override {
    return absl::StrFormat("%g W and %g J per 10^6 bytes", power_.watts, power_.joules_per_mb);
  }

  Window Begin(Phase phase) override { return open_.Open({phase, clock_->MonotonicUs()}); }

  EnergySample End(Window window, uint64_t bytes) override {
    EnergySample sample{.source = name(), .scope = scope()};
    sample.bytes = bytes;
    const std::optional<Start> start = open_.Close(window, &sample);
    if (!start.has_value()) return sample;
    sample.phase = start->phase;
    sample.duration_us = clock_->MonotonicUs() - start->at_us;
    // W x us and J/MB x bytes are both microjoules.
    const double energy_uj = power_.watts * static_cast<double>(sample.duration_us) +
                             power_.joules_per_mb * static_cast<double>(bytes);
    sample.energy_uj = std::llround(energy_uj);
    sample.sigma_uj = std::llround(energy_uj * power_.relative_sigma);
    sample.quality = quality();
    sample.coverage = 1;
    return sample;
  }

 private:
  struct Start {
    Phase phase;
    int64_t at_us;
  };
  const SimulatedPower power_;
  const Clock* const clock_;
  OpenWindows<Start> open_;
};

bool Sound(double figure) { return figure >= 0 && figure <= 1e6; }

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeSimulatedMeter(const EnergyMeterEnv& env) {
  if (!env.simulated.has_value() || env.clock == nullptr) {
    return absl::UnavailableError(
        "this device is not simulated (fedwatt-client --meter simulated)");
  }
  const SimulatedPower& power = *env.simulated;
  if (!Sound(power.watts) || !Sound(power.joules_per_mb) || !Sound(power.relative_sigma)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "simulated power of %g W, %g J/MB, relative sigma %g: each must be from 0 to 10^6",
        power.watts, power.joules_per_mb, power.relative_sigma));
  }
  return std::make_unique<SimulatedMeter>(power, env.clock);
}

}  // namespace fedwatt
