#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/energy/calibration.h"
#include "common/energy/energy_meter.h"

// The measurements behind `fedwatt meter calibrate`.
namespace fedwatt::cli {

// Keeps `cores` threads busy from construction to destruction.
class BusyCores {
 public:
  explicit BusyCores(int cores);
  ~BusyCores();
  BusyCores(const BusyCores&) = delete;
  BusyCores& operator=(const BusyCores&) = delete;

 private:
  struct Threads;
  const std::unique_ptr<Threads> threads_;
};

// What a run needs of the world; tests replace it.
struct LoadRunDeps {
  EnergyMeter* meter = nullptr;  // of the whole machine
  const Clock* clock = nullptr;
  std::function<int64_t()> machine_cpu_us;
  // Keeps `cores` busy for `us`; CANCELLED if the user has had enough.
  std::function<absl::Status(int cores, int64_t us)> load;
  std::function<void(size_t done, size_t of, const LoadPoint& point)> progress;  // may be null
};

// Nothing, half of the cores and all of them, twice, for `stretch_us` each. Stretches without a
// figure are left out. `why_not`: the reason of the last of these.
absl::StatusOr<std::vector<LoadPoint>> RunLoads(const LoadRunDeps& deps, int cores,
                                                int64_t stretch_us, std::string* why_not);

}  // namespace fedwatt::cli
