#include "common/energy/nvml_meter.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/energy/counter_source.h"
#include "common/energy/source_meter.h"

namespace fedwatt {
namespace {

// Newer boards renew the counter every 20 to 100 ms.
constexpr int64_t kUpdateUs = 100'000;
constexpr double kStepUj = 1000;
constexpr double kMaxBoardWatts = 2000;
constexpr uint32_t kMaxDevices = 64;

EnergyCounter CounterOf(std::shared_ptr<NvmlLibrary> nvml, uint32_t device) {
  EnergyCounter counter;
  counter.label = absl::StrCat("GPU ", device);
  counter.step_uj = kStepUj;
  counter.max_watts = kMaxBoardWatts;
  counter.fall_means = "the counter went back: the driver was loaded anew";
  counter.read_uj = [nvml = std::move(nvml), device]() -> absl::StatusOr<double> {
    FW_ASSIGN_OR_RETURN(const uint64_t energy_mj, nvml->TotalEnergyMj(device));
    return static_cast<double>(energy_mj) * 1e3;
  };
  return counter;
}

absl::StatusOr<std::vector<EnergyCounter>> FindCounters(const NvmlLoader& load) {
  FW_ASSIGN_OR_RETURN(std::unique_ptr<NvmlLibrary> loaded, load());
  const std::shared_ptr<NvmlLibrary> nvml = std::move(loaded);
  FW_ASSIGN_OR_RETURN(const uint32_t count, nvml->DeviceCount());
  if (count == 0) return absl::NotFoundError("NVML knows no GPU here");
  if (count > kMaxDevices) {
    return absl::OutOfRangeError(
        absl::StrCat("NVML names ", count, " GPUs; ", kMaxDevices, " is the most that can be"));
  }
  std::vector<EnergyCounter> counters;
  absl::Status first_error;
  for (uint32_t device = 0; device < count; ++device) {
    EnergyCounter counter = CounterOf(nvml, device);
    const absl::Status readable = counter.read_uj().status();
    first_error.Update(readable);
    if (readable.ok()) counters.push_back(std::move(counter));
  }
  if (counters.empty()) return first_error;
  return counters;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeNvmlMeter(const EnergyMeterEnv& env) {
  if (env.clock == nullptr) return absl::UnavailableError("no clock was given");
  absl::StatusOr<std::vector<EnergyCounter>> counters =
      FindCounters(env.load_nvml ? env.load_nvml : [] { return LoadNvml(); });
  if (!counters.ok()) return absl::UnavailableError(std::string(counters.status().message()));
  SourceMeterSpec spec{.name = "nvml", .scope = EnergyScope::kBoard, .by_cpu_share = false};
  spec.description = absl::StrJoin(
      *counters, ", ",
      [](std::string* out, const EnergyCounter& counter) { out->append(counter.label); });
  spec.source = MakeCounterSource(*std::move(counters), kUpdateUs);
  return MakeSourceMeter(std::move(spec), env);
}

}  // namespace fedwatt
