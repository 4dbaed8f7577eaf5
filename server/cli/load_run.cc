#include "server/cli/load_run.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include "common/base/status_macros.h"

namespace fedwatt::cli {
namespace {

// Something that keeps the floating-point units busy and that no compiler leaves out.
void Burn(const std::stop_token& stop) {
  volatile double kept = 1.0;
  while (!stop.stop_requested()) {
    double value = kept;
    for (int i = 0; i < 10'000; ++i) value = value * 1.0000001 + 1e-9;
    kept = value > 1e6 ? 1.0 : value;
  }
}

}  // namespace

struct BusyCores::Threads {
  std::vector<std::jthread> burning;  // stopped and joined by their destructors
};

BusyCores::BusyCores(int cores) : threads_(std::make_unique<Threads>()) {
  for (int i = 0; i < cores; ++i) {
    threads_->burning.emplace_back([](const std::stop_token& stop) { Burn(stop); });
  }
}

BusyCores::~BusyCores() = default;

absl::StatusOr<std::vector<LoadPoint>> RunLoads(const LoadRunDeps& deps, int cores,
                                                int64_t stretch_us, std::string* why_not) {
  const int half = std::max(1, cores / 2);
  const std::vector<int> levels = {0, half, cores, 0, half, cores};
  std::vector<LoadPoint> points;
  for (size_t i = 0; i < levels.size(); ++i) {
    const EnergyMeter::Window window = deps.meter->Begin(Phase::kTrain);
    const int64_t begin_us = deps.clock->MonotonicUs();
    const int64_t begin_cpu_us = deps.machine_cpu_us();
    const absl::Status loaded = deps.load(levels[i], stretch_us);
    const EnergySample sample = deps.meter->End(window, 0);
    FW_RETURN_IF_ERROR(loaded);
    const double elapsed_us = static_cast<double>(deps.clock->MonotonicUs() - begin_us);
    LoadPoint point;
    if (elapsed_us > 0) {
      point.busy_cores = static_cast<double>(deps.machine_cpu_us() - begin_cpu_us) / elapsed_us;
    }
    if (sample.energy_uj.has_value() && sample.duration_us > 0) {
      point.watts = static_cast<double>(*sample.energy_uj) /
                    (static_cast<double>(sample.duration_us) * sample.coverage);
      points.push_back(point);
    } else {
      *why_not = sample.reason;
    }
    if (deps.progress) deps.progress(i + 1, levels.size(), point);
  }
  return points;
}

}  // namespace fedwatt::cli
