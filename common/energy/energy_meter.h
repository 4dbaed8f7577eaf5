#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/energy/energy_sample.h"

// Meters: what a device can say of its own joules.
namespace fedwatt {

// What a meter is made from. All paths hang below `sysfs_root`, so that tests use fixture trees.
struct EnergyMeterEnv {
  std::string sysfs_root = "/";
  const Clock* clock = nullptr;                  // must outlive the meter
  std::function<int64_t()> cpu_time_us;          // of this process and its trainer children
  std::function<int64_t()> machine_cpu_time_us;  // busy time of all cores together
  double watts_per_busy_core = 0;                // calibration of the estimate; 0: default
};

// One source of readings. Windows are opened and closed by one thread at a time; windows may nest
// and each is closed once. A meter never invents: where it could not read, the sample's quality is
// kUnavailable.
class EnergyMeter {
 public:
  using Window = uint64_t;
  virtual ~EnergyMeter() = default;

  virtual std::string name() const = 0;
  virtual EnergyQuality quality() const = 0;
  virtual EnergyScope scope() const = 0;

  virtual Window Begin(Phase phase) = 0;
  // `bytes`: moved during the window.
  virtual EnergySample End(Window window, uint64_t bytes) = 0;
};

// UNAVAILABLE with the reason (no such path, not readable, ...) when this host lacks the source.
using EnergyMeterFactory =
    std::function<absl::StatusOr<std::unique_ptr<EnergyMeter>>(const EnergyMeterEnv&)>;

struct EnergyMeterEntry {
  std::string name;
  int rank;  // of preference in auto-detection, lower first
  EnergyMeterFactory make;
};

// The built-in meters (common/energy/builtin.def).
const std::vector<EnergyMeterEntry>& BuiltinEnergyMeters();

struct MeterChoice {
  std::unique_ptr<EnergyMeter> meter;
  std::string why;                    // one line for a log or `fedwatt doctor`
  std::vector<std::string> rejected;  // "rapl: /sys/class/powercap is not readable (EACCES)", ...
};

// `name`: one entry, or "auto" for the best that this host has.
absl::StatusOr<MeterChoice> ChooseEnergyMeter(const std::string& name, const EnergyMeterEnv& env);

}  // namespace fedwatt
