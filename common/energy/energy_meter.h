#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter_env.h"
#include "common/energy/energy_sample.h"

// Meters: what a device can say of its own joules.
namespace fedwatt {

// One source of readings, or one with others beside it. Windows may nest, overlap and be closed in
// any order, each once. A meter never invents: where it could not read, the sample's quality is
// kUnavailable and its reason says why.
//
// One thread at a time, unless env.start_polling was given: then any thread.
class EnergyMeter {
 public:
  using Window = uint64_t;
  virtual ~EnergyMeter() = default;

  virtual std::string name() const = 0;
  // Of the samples that carry a figure.
  virtual EnergyQuality quality() const = 0;
  virtual EnergyScope scope() const = 0;
  // What is read, for people: "intel-rapl:0 package-0, intel-rapl:0:0 dram".
  virtual std::string description() const { return ""; }

  virtual Window Begin(Phase phase) = 0;
  // `bytes`: moved during the window.
  virtual EnergySample End(Window window, uint64_t bytes) = 0;

  // Looks at counters and sensors while windows are open, so that no wrap and no watt is missed.
  // To be called about every PollPeriodUs() (0: never), by a timer or by who owns the meter.
  virtual void Poll() {}
  virtual int64_t PollPeriodUs() const { return 0; }

  // Whether a window can concern this source at all: a radio does not train.
  virtual bool Concerns(Phase phase, uint64_t bytes) const {
    (void)phase;
    (void)bytes;
    return true;
  }
};

// UNAVAILABLE with the reason (no such path, not readable, ...) when this host lacks the source.
using EnergyMeterFactory =
    std::function<absl::StatusOr<std::unique_ptr<EnergyMeter>>(const EnergyMeterEnv&)>;

// What auto-detection does with a meter.
enum class MeterRole {
  kMain = 1,  // one of these gives the figure: the first by rank that this host has
  kBeside,    // sees what no main meter can tell apart; its sample goes along (never added)
  kNamed,     // only when asked for
};

struct EnergyMeterEntry {
  std::string name;
  int rank;  // of preference in auto-detection, lower first
  MeterRole role;
  EnergyMeterFactory make;
};

// The built-in meters (common/energy/builtin.def), by rank.
const std::vector<EnergyMeterEntry>& BuiltinEnergyMeters();

struct MeterChoice {
  std::unique_ptr<EnergyMeter> meter;
  std::string why;                    // one line for a log or `fedwatt doctor`
  std::vector<std::string> rejected;  // "rapl: /sys/class/powercap is not readable (EACCES)", ...
};

// `name`: "auto" for the best that this host has, or one entry, or several with plus signs
// ("rapl+nvml"): the first gives the figure, the others' samples go beside it (EnergySample::
// beside). The radio of env.link is always beside. Several sources are never added: they may cover
// each other. NOT_FOUND for an unknown name, UNAVAILABLE if this host lacks it.
absl::StatusOr<MeterChoice> ChooseEnergyMeter(const std::string& name, const EnergyMeterEnv& env);

// One entry on this host, for `fedwatt meter list`.
struct MeterFinding {
  std::string name;
  MeterRole role = MeterRole::kMain;
  bool available = false;
  std::string detail;  // what it reads, or why it cannot
  EnergyQuality quality = EnergyQuality::kUnavailable;
  EnergyScope scope = EnergyScope::kProcess;
};
std::vector<MeterFinding> SurveyEnergyMeters(const EnergyMeterEnv& env);

}  // namespace fedwatt
