#include "common/energy/radio_meter.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/energy/open_windows.h"

namespace fedwatt {
namespace {

class RadioMeter final : public EnergyMeter {
 public:
  RadioMeter(RadioLink link, const Clock* clock)
      : link_(link), power_(PowerOf(link)), clock_(clock) {}

  std::string name() const override { return "radio"; }
  EnergyQuality quality() const override { return EnergyQuality::kEstimated; }
  EnergyScope scope() const override { return EnergyScope::kProcess; }
  std::string description() const override {
    return absl::StrCat("model of a radio on ", RadioLinkName(link_), ", by bytes and seconds");
  }
  bool Concerns(Phase phase, uint64_t bytes) const override {
    return bytes > 0 && (phase == Phase::kDownload || phase == Phase::kUpload);
  }

  Window Begin(Phase phase) override { return open_.Open({phase, clock_->MonotonicUs()}); }

  EnergySample End(Window window, uint64_t bytes) override {
    EnergySample sample{.source = name(), .scope = scope()};
    sample.bytes = bytes;
    const std::optional<Start> start = open_.Close(window, &sample);
    if (!start.has_value()) return sample;
    const int64_t now_us = clock_->MonotonicUs();
    sample.phase = start->phase;
    sample.duration_us = now_us - start->at_us;
    if (!Concerns(start->phase, bytes)) {
      sample.reason = "the radio's model is of transfers alone";
      return sample;
    }
    Transfer transfer{.duration_us = sample.duration_us};
    (start->phase == Phase::kUpload ? transfer.bytes_up : transfer.bytes_down) = bytes;
    if (last_transfer_us_.has_value()) {
      transfer.since_last_us = std::max<int64_t>(0, start->at_us - *last_transfer_us_);
    }
    last_transfer_us_ = now_us;
    const double joules = TransferJoules(power_, transfer);
    sample.energy_uj = std::llround(joules * 1e6);
    sample.sigma_uj = std::llround(joules * kRadioRelativeSigma * 1e6);
    sample.quality = quality();
    sample.idle_subtracted = true;  // what the radio uses unconnected is not in the model
    sample.coverage = 1;
    return sample;
  }

 private:
  struct Start {
    Phase phase;
    int64_t at_us;
  };
  const RadioLink link_;
  const RadioPower power_;
  const Clock* const clock_;
  OpenWindows<Start> open_;
  std::optional<int64_t> last_transfer_us_;  // its end
};

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeRadioMeter(const EnergyMeterEnv& env) {
  if (!env.link.has_value() || env.clock == nullptr) {
    return absl::UnavailableError("nobody named the link (fedwatt-client --link wifi, lte or 3g)");
  }
  if (*env.link == RadioLink::kEthernet) {
    return absl::UnavailableError("Ethernet has no radio");
  }
  return std::make_unique<RadioMeter>(*env.link, env.clock);
}

}  // namespace fedwatt
