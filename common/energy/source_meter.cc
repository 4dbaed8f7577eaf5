#include "common/energy/source_meter.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/energy/attribution.h"
#include "common/energy/open_windows.h"

namespace fedwatt {
namespace {

constexpr double kMinCoverage = 0.5;
// Beyond it llround is no longer defined; no source that is checked gets near.
constexpr double kMaxUj = 9e18;

class SourceMeter final : public EnergyMeter {
 public:
  SourceMeter(SourceMeterSpec spec, const EnergyMeterEnv& env)
      : spec_(std::move(spec)), clock_(env.clock) {
    if (!spec_.by_cpu_share || !env.cpu_time_us || !env.machine_cpu_time_us) return;
    own_cpu_us_ = env.cpu_time_us;
    machine_cpu_us_ = env.machine_cpu_time_us;
    const auto idle = env.idle_watts.find(spec_.name);
    if (idle != env.idle_watts.end()) idle_watts_ = idle->second;
  }

  std::string name() const override { return spec_.name; }
  std::string description() const override { return spec_.description; }
  EnergyQuality quality() const override {
    return shares() ? EnergyQuality::kDerived : EnergyQuality::kMeasured;
  }
  EnergyScope scope() const override { return shares() ? EnergyScope::kProcess : spec_.scope; }

  Window Begin(Phase phase) override {
    if (open_.empty()) spec_.source->Restart();
    return open_.Open(Take(phase));
  }

  void Poll() override {
    if (!open_.empty()) spec_.source->Read(clock_->MonotonicUs());
  }
  int64_t PollPeriodUs() const override { return spec_.source->PollPeriodUs(); }

  EnergySample End(Window window, uint64_t bytes) override {
    EnergySample sample;
    sample.source = spec_.name;
    sample.scope = scope();
    sample.bytes = bytes;
    const std::optional<Mark> begin = open_.Close(window, &sample);
    if (!begin.has_value()) return sample;
    const Mark end = Take(begin->phase);
    sample.phase = begin->phase;
    sample.duration_us = end.at_us - begin->at_us;
    Fill(*begin, end, &sample);
    return sample;
  }

 private:
  // One end of a window.
  struct Mark {
    Phase phase = Phase::kTrain;
    int64_t at_us = 0;
    int64_t own_cpu_us = 0;
    int64_t machine_cpu_us = 0;
    EnergyTotal total;
  };

  bool shares() const { return machine_cpu_us_ != nullptr; }

  Mark Take(Phase phase) {
    Mark mark{.phase = phase, .at_us = clock_->MonotonicUs()};
    if (shares()) {
      mark.own_cpu_us = own_cpu_us_();
      mark.machine_cpu_us = machine_cpu_us_();
    }
    spec_.source->Read(mark.at_us);
    mark.total = spec_.source->total();
    return mark;
  }

  // Why this window has no figure, or "".
  std::string Obstacle(const Mark& begin, const Mark& end, double coverage) const {
    const int64_t duration_us = end.at_us - begin.at_us;
    if (end.total.breaks > begin.total.breaks) return end.total.break_reason;
    if (duration_us < spec_.source->UpdateIntervalUs() || duration_us == 0) {
      return absl::StrFormat(
          "a window of %.3g ms is shorter than the %.3g ms in which %s is renewed",
          static_cast<double>(duration_us) * 1e-3,
          static_cast<double>(spec_.source->UpdateIntervalUs()) * 1e-3, spec_.name);
    }
    const std::string gap =
        end.total.gaps > begin.total.gaps ? absl::StrCat(": ", end.total.gap_reason) : "";
    if (coverage < kMinCoverage) {
      return absl::StrFormat("only %.0f %% of the window was seen%s", coverage * 100, gap);
    }
    // Machines use something all the time: a counter of zeros is what some hypervisors show.
    if (end.total.energy_uj <= begin.total.energy_uj && !spec_.idle_subtracted) {
      return absl::StrFormat("%s did not move in %.3g s%s", spec_.name,
                             static_cast<double>(duration_us) * 1e-6, gap);
    }
    return "";
  }

  double MachineVariance(const Mark& begin, const Mark& end, double energy_uj) const {
    const double update_us = static_cast<double>(spec_.source->UpdateIntervalUs());
    const double edge_uj = energy_uj / static_cast<double>(end.at_us - begin.at_us) * update_us;
    return end.total.variance_uj2 - begin.total.variance_uj2 + edge_uj * edge_uj / 6 +
           spec_.source->ResolutionVarianceUj2();
  }

  void Fill(const Mark& begin, const Mark& end, EnergySample* sample) const {
    const int64_t seen_us = end.total.seen_us - begin.total.seen_us;
    const double coverage = sample->duration_us > 0 ? static_cast<double>(seen_us) /
                                                          static_cast<double>(sample->duration_us)
                                                    : 0;
    sample->reason = Obstacle(begin, end, coverage);
    if (!sample->reason.empty()) return;
    const double machine_uj = end.total.energy_uj - begin.total.energy_uj;
    AttributedEnergy figure{machine_uj, MachineVariance(begin, end, machine_uj),
                            spec_.idle_subtracted};
    if (shares()) {
      const absl::StatusOr<AttributedEnergy> own =
          AttributeByCpuTime({.energy_uj = machine_uj,
                              .variance_uj2 = figure.variance_uj2,
                              .duration_us = seen_us,
                              .own_cpu_us = end.own_cpu_us - begin.own_cpu_us,
                              .machine_cpu_us = end.machine_cpu_us - begin.machine_cpu_us,
                              .idle_watts = idle_watts_});
      if (!own.ok()) {
        sample->reason = std::string(own.status().message());
        return;
      }
      figure = *own;
      sample->machine_energy_uj = std::llround(std::min(machine_uj, kMaxUj));
    }
    sample->energy_uj = std::llround(std::min(figure.energy_uj, kMaxUj));
    sample->sigma_uj = std::llround(std::min(std::sqrt(figure.variance_uj2), kMaxUj));
    sample->idle_subtracted = figure.idle_subtracted;
    sample->coverage = std::min(1.0, coverage);
    sample->quality = quality();
  }

  const SourceMeterSpec spec_;
  const Clock* const clock_;
  std::function<int64_t()> own_cpu_us_;      // with machine_cpu_us_: constant after construction
  std::function<int64_t()> machine_cpu_us_;  // null: the energy is not shared out
  double idle_watts_ = 0;
  OpenWindows<Mark> open_;
};

}  // namespace

std::unique_ptr<EnergyMeter> MakeSourceMeter(SourceMeterSpec spec, const EnergyMeterEnv& env) {
  return std::make_unique<SourceMeter>(std::move(spec), env);
}

}  // namespace fedwatt
