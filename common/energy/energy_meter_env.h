#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/energy/energy_sample.h"
#include "common/energy/nvml_library.h"
#include "common/energy/perf_counter.h"
#include "common/energy/poll_timer.h"
#include "common/energy/radio_model.h"
#include "common/energy/sysfs_tree.h"

namespace fedwatt {

// What an app that embeds the client knows of its own joules, for example Android's PowerMonitor.
struct HostEnergy {
  // Microjoules since any start, never falling. Called at and between a window's ends, any thread.
  std::function<absl::StatusOr<int64_t>()> total_uj;
  EnergyScope scope = EnergyScope::kDevice;
  bool idle_subtracted = false;
  int64_t update_us = 1'000'000;  // how often the host renews it
};

// A device that exists only in a simulation.
struct SimulatedPower {
  double watts = 5;  // while a window is open
  double joules_per_mb = 0;
  double relative_sigma = 0;
};

// What meters are made from. Everything outside of the process comes through here, so that tests
// run on fixture trees with a clock of their own.
struct EnergyMeterEnv {
  std::string sysfs_root = "/";
  SysfsTree::ReadFileFn read_file;               // null: the file system
  const Clock* clock = nullptr;                  // must outlive the meter
  std::function<int64_t()> cpu_time_us;          // of this process and its trainer children
  std::function<int64_t()> machine_cpu_time_us;  // busy time of all cores together; null: a
                                                 // machine's energy is not shared out

  // Calibration (calibration.h). 0 or absent: unknown.
  double watts_per_busy_core = 0;
  double watts_relative_sigma = 0;
  std::map<std::string, double> idle_watts;  // of what a meter sees, by its name

  PollTimerFactory start_polling;  // null: who owns the meter calls Poll
  PerfCounterOpener open_perf;     // null: perf_event_open(2)
  NvmlLoader load_nvml;            // null: dlopen
  std::optional<HostEnergy> host;
  std::optional<RadioLink> link;
  std::optional<SimulatedPower> simulated;
};

}  // namespace fedwatt
