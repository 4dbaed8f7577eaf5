#include "common/energy/counter_source.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr int64_t kMinPollPeriodUs = 100'000;
// What a counter may show of the time before its last renewal.
constexpr double kSlackUpdates = 10;

class CounterSource final : public EnergySource {
 public:
  CounterSource(std::vector<EnergyCounter> counters, int64_t update_us, int64_t max_poll_us)
      : counters_(std::move(counters)), update_us_(update_us), max_poll_us_(max_poll_us) {}

  void Restart() override { last_uj_.clear(); }

  void Read(int64_t now_us) override {
    const absl::StatusOr<std::vector<double>> values = ReadAll();
    if (absl::IsFailedPrecondition(values.status())) return Break(values.status());
    if (!values.ok()) {
      ++total_.gaps;
      total_.gap_reason = std::string(values.status().message());
      return;
    }
    if (!last_uj_.empty()) {
      const absl::StatusOr<double> rise = Rise(*values, now_us);
      if (rise.ok()) {
        total_.energy_uj += *rise;
        total_.seen_us += now_us - last_us_;
      } else {
        Break(rise.status());
      }
    }
    last_uj_ = *values;
    last_us_ = now_us;
  }

  const EnergyTotal& total() const override { return total_; }
  int64_t UpdateIntervalUs() const override { return update_us_; }

  int64_t PollPeriodUs() const override {
    double period_us = static_cast<double>(max_poll_us_);
    for (const EnergyCounter& counter : counters_) {
      if (counter.range_uj <= 0) continue;
      period_us = std::min(period_us, counter.range_uj / (2 * counter.max_watts));
    }
    return std::max(kMinPollPeriodUs, static_cast<int64_t>(period_us));
  }

  double ResolutionVarianceUj2() const override {
    double variance = 0;
    for (const EnergyCounter& counter : counters_) {
      variance += counter.step_uj * counter.step_uj / 6;  // two readings, each uniform in a step
    }
    return variance;
  }

 private:
  void Break(const absl::Status& why) {
    ++total_.breaks;
    total_.break_reason = std::string(why.message());
    last_uj_.clear();
  }

  absl::StatusOr<std::vector<double>> ReadAll() const {
    std::vector<double> values;
    for (const EnergyCounter& counter : counters_) {
      FW_ASSIGN_OR_RETURN(const double value, counter.read_uj());
      if (!std::isfinite(value)) {
        return absl::DataLossError(absl::StrCat(counter.label, " is not a number"));
      }
      values.push_back(value);
    }
    return values;
  }

  absl::StatusOr<double> Rise(const std::vector<double>& values, int64_t now_us) const {
    double sum = 0;
    for (size_t i = 0; i < counters_.size(); ++i) {
      FW_ASSIGN_OR_RETURN(const double rise,
                          RiseOf(counters_[i], last_uj_[i], values[i], now_us - last_us_));
      sum += rise;
    }
    return sum;
  }

  absl::StatusOr<double> RiseOf(const EnergyCounter& counter, double last, double now,
                                int64_t elapsed_us) const {
    const double elapsed = static_cast<double>(elapsed_us);
    const bool fell = now < last;
    if (fell && counter.range_uj <= 0) {
      return absl::DataLossError(absl::StrCat(counter.label, ": ", counter.fall_means));
    }
    if (counter.range_uj > 0 && elapsed * counter.max_watts > counter.range_uj) {
      return absl::DataLossError(absl::StrFormat(
          "%s may have wrapped twice: nobody read it for %.0f s, its range of %.0f J is full "
          "after %.0f s at %.0f W",
          counter.label, elapsed * 1e-6, counter.range_uj * 1e-6,
          counter.range_uj * 1e-6 / counter.max_watts, counter.max_watts));
    }
    const double rise = fell ? now + counter.range_uj - last : now - last;
    const double slack_us = kSlackUpdates * static_cast<double>(update_us_);
    if (rise > (elapsed + slack_us) * counter.max_watts + counter.step_uj || rise < 0) {
      return absl::DataLossError(absl::StrFormat(
          "%s %s by %.3g J in %.3g s, more than %.0f W can do: it was reset, or reads nonsense",
          counter.label, fell ? "wrapped" : "jumped", rise * 1e-6, elapsed * 1e-6,
          counter.max_watts));
    }
    return rise;
  }

  const std::vector<EnergyCounter> counters_;
  const int64_t update_us_;
  const int64_t max_poll_us_;
  EnergyTotal total_;
  std::vector<double> last_uj_;  // empty: nothing read since the restart
  int64_t last_us_ = 0;
};

}  // namespace

std::unique_ptr<EnergySource> MakeCounterSource(std::vector<EnergyCounter> counters,
                                                int64_t update_us, int64_t max_poll_us) {
  return std::make_unique<CounterSource>(std::move(counters), update_us, max_poll_us);
}

}  // namespace fedwatt
