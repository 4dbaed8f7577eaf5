#include "common/energy/host_meter.h"

#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/energy/counter_source.h"
#include "common/energy/source_meter.h"

namespace fedwatt {
namespace {

constexpr double kMaxHostWatts = 10'000;

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeHostMeter(const EnergyMeterEnv& env) {
  if (!env.host.has_value() || !env.host->total_uj) {
    return absl::UnavailableError("no app that embeds this client offers its own meter");
  }
  if (env.clock == nullptr) return absl::UnavailableError("no clock was given");
  const absl::StatusOr<int64_t> readable = env.host->total_uj();
  if (!readable.ok()) return absl::UnavailableError(std::string(readable.status().message()));
  EnergyCounter counter;
  counter.label = "the host app's meter";
  counter.step_uj = 1;
  counter.max_watts = kMaxHostWatts;
  counter.fall_means = "the counter went back: the device was restarted";
  counter.read_uj = [read = env.host->total_uj]() -> absl::StatusOr<double> {
    FW_ASSIGN_OR_RETURN(const int64_t total_uj, read());
    if (total_uj < 0) return absl::DataLossError("the host app's meter reads less than 0");
    return static_cast<double>(total_uj);
  };
  SourceMeterSpec spec{.name = "host", .description = counter.label, .scope = env.host->scope};
  spec.by_cpu_share = env.host->scope != EnergyScope::kProcess;
  spec.idle_subtracted = env.host->idle_subtracted;
  std::vector<EnergyCounter> counters;
  counters.push_back(std::move(counter));
  spec.source = MakeCounterSource(std::move(counters), env.host->update_us);
  return MakeSourceMeter(std::move(spec), env);
}

}  // namespace fedwatt
