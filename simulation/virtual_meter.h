#pragma once

#include <functional>
#include <map>

#include "common/base/clock.h"
#include "common/energy/energy_meter.h"
#include "common/energy/radio_model.h"

namespace fedwatt {

// A simulated device's meter: watts x virtual time for work, the radio's model for transfers
// (common/energy/radio_model.h). Quality simulated, scope device. A misreporting device's figures
// are multiplied by `claim_factor`; what was spent in truth goes to `spent`.
class VirtualMeter final : public EnergyMeter {
 public:
  struct Options {
    double train_w = 0;
    RadioLink radio = RadioLink::kWifi;
    double claim_factor = 1;
    const Clock* clock = nullptr;
    // Over the time that ends now.
    std::function<void(Phase phase, int64_t energy_uj, int64_t duration_us)> spent;
  };
  explicit VirtualMeter(Options options) : options_(std::move(options)) {}

  std::string name() const override { return "simulated"; }
  EnergyQuality quality() const override { return EnergyQuality::kSimulated; }
  EnergyScope scope() const override { return EnergyScope::kDevice; }
  Window Begin(Phase phase) override;
  EnergySample End(Window window, uint64_t bytes) override;

 private:
  struct Start {
    Phase phase;
    int64_t at_us;
  };
  double TransferUj(Phase phase, uint64_t bytes, int64_t begin_us, int64_t duration_us);

  const Options options_;
  Window last_ = 0;
  std::map<Window, Start> open_;
  int64_t transfer_end_us_ = -1;
};

}  // namespace fedwatt
