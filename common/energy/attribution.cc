#include "common/energy/attribution.h"

#include <algorithm>

namespace fedwatt {

absl::StatusOr<AttributedEnergy> AttributeByCpuTime(const MachineWindow& window) {
  if (window.own_cpu_us < 0 || window.machine_cpu_us < 0) {
    return absl::DataLossError("a count of CPU time went back");
  }
  const double own = static_cast<double>(window.own_cpu_us);
  const double tick = static_cast<double>(kCpuTickUs);
  // Ours is exact, the machine's late by up to a tick: it cannot truly be below ours.
  const double machine =
      std::max({static_cast<double>(window.machine_cpu_us), own, own > 0 ? tick : 1});
  const double share = own / machine;
  const double idle_uj = window.idle_watts * static_cast<double>(window.duration_us);
  const double busy_uj = std::max(0.0, window.energy_uj - idle_uj);
  // d share = share / machine x d machine, of two readings each uniform within a tick.
  const double share_variance = share * share / (machine * machine) * tick * tick / 6;
  AttributedEnergy out;
  out.energy_uj = busy_uj * share;
  out.variance_uj2 = window.variance_uj2 * share * share + busy_uj * busy_uj * share_variance;
  out.idle_subtracted = window.idle_watts > 0;
  return out;
}

}  // namespace fedwatt
