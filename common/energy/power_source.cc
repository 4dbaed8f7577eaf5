#include "common/energy/power_source.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fedwatt {
namespace {

constexpr int64_t kBridgedPeriods = 10;

class PowerSource final : public EnergySource {
 public:
  explicit PowerSource(PowerSensor sensor) : sensor_(std::move(sensor)) {}

  void Restart() override { seen_ = false; }

  void Read(int64_t now_us) override {
    const absl::StatusOr<double> watts = Watts();
    if (!watts.ok()) {
      seen_ = false;
      if (absl::IsFailedPrecondition(watts.status())) {
        ++total_.breaks;
        total_.break_reason = std::string(watts.status().message());
      } else {
        ++total_.gaps;
        total_.gap_reason = std::string(watts.status().message());
      }
      return;
    }
    const int64_t elapsed_us = now_us - last_us_;
    if (seen_ && elapsed_us <= kBridgedPeriods * sensor_.update_us) {
      Add(*watts, elapsed_us);
    } else if (seen_) {
      ++total_.gaps;
      total_.gap_reason = absl::StrFormat("%s: nobody read it for %.3g s", sensor_.label,
                                          static_cast<double>(elapsed_us) * 1e-6);
    }
    seen_ = true;
    last_w_ = *watts;
    last_us_ = now_us;
  }

  const EnergyTotal& total() const override { return total_; }
  int64_t UpdateIntervalUs() const override { return sensor_.update_us; }
  int64_t PollPeriodUs() const override { return sensor_.update_us; }

 private:
  absl::StatusOr<double> Watts() const {
    absl::StatusOr<double> watts = sensor_.read_w();
    // Negated, so that NaN is refused, too.
    if (watts.ok() && !(*watts >= 0 && *watts <= sensor_.max_watts)) {
      return absl::DataLossError(absl::StrFormat("%s reads %g W; between 0 and %g can be true",
                                                 sensor_.label, *watts, sensor_.max_watts));
    }
    return watts;
  }

  void Add(double watts, int64_t elapsed_us) {
    const double elapsed = static_cast<double>(elapsed_us);
    const double spread = (watts - last_w_) * elapsed;
    total_.energy_uj += (watts + last_w_) / 2 * elapsed;  // W x us = uJ
    total_.variance_uj2 += spread * spread / 12;
    total_.seen_us += elapsed_us;
  }

  const PowerSensor sensor_;
  EnergyTotal total_;
  bool seen_ = false;
  double last_w_ = 0;
  int64_t last_us_ = 0;
};

}  // namespace

std::unique_ptr<EnergySource> MakePowerSource(PowerSensor sensor) {
  return std::make_unique<PowerSource>(std::move(sensor));
}

}  // namespace fedwatt
