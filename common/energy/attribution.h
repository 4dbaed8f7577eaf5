#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

// A machine's energy attributed to one process by its share of the CPU time:
//
//   (energy - idle watts x duration) x own CPU time / the machine's busy CPU time
//
// Quality `derived`. Without an idle figure the idle energy is shared out, too. Pure.
namespace fedwatt {

struct MachineWindow {
  double energy_uj = 0;
  double variance_uj2 = 0;
  int64_t duration_us = 0;
  int64_t own_cpu_us = 0;      // of this process and its trainer
  int64_t machine_cpu_us = 0;  // busy time of all cores, counted in ticks of 10 ms
  double idle_watts = 0;       // 0: unknown
};

struct AttributedEnergy {
  double energy_uj = 0;
  double variance_uj2 = 0;
  bool idle_subtracted = false;
};

// The clock ticks in which Linux counts a machine's busy time.
inline constexpr int64_t kCpuTickUs = 10'000;

// DATA_LOSS when a CPU time has gone back. Where the machine's time has not moved by a tick, the
// process is given its share of one: a short window is not charged with the whole machine.
absl::StatusOr<AttributedEnergy> AttributeByCpuTime(const MachineWindow& window);

}  // namespace fedwatt
