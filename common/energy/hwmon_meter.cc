#include "common/energy/hwmon_meter.h"

#include <algorithm>
#include <optional>
#include <regex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/energy/counter_source.h"
#include "common/energy/power_source.h"
#include "common/energy/source_meter.h"

namespace fedwatt {
namespace {

constexpr char kDir[] = "sys/class/hwmon";
constexpr int64_t kDefaultUpdateUs = 100'000;
constexpr int64_t kMinUpdateUs = 10'000;  // polling faster costs more than it tells
constexpr int64_t kMaxUpdateUs = 60'000'000;
constexpr int64_t kEnergyUpdateUs = 1000;
constexpr double kMaxSocketWatts = 1000;
constexpr double kEnergyStepUj = 15.3;  // AMD's unit, 2^-16 J

struct ChipKind {
  std::vector<std::string> names;
  bool counts_energy;
  std::string label;  // of the channels to take, a prefix; empty: all
  EnergyScope scope;
  bool only_one;  // of several nobody knows which is the supply
};

const std::vector<ChipKind>& ChipKinds() {
  static const std::vector<ChipKind> kinds = {
      {{"amd_energy", "zenergy"}, true, "Esocket", EnergyScope::kPackage, false},
      {{"zenpower", "fam15h_power"}, false, "", EnergyScope::kPackage, false},
      {{"power_meter"}, false, "", EnergyScope::kDevice, false},
      {{"corsairpsu"}, false, "power total", EnergyScope::kDevice, true},
      {{"ina219", "ina220", "ina226", "ina230", "ina231", "ina237", "ina238", "ina260", "ina2xx"},
       false,
       "",
       EnergyScope::kBoard,
       true}};
  return kinds;
}

struct Chip {
  std::string dir;
  std::string name;
};

// One channel to read: a file in microjoules or microwatts, or voltage and current.
struct Channel {
  std::string label;
  std::string path;
  std::string current_path;  // then `path` is a voltage
};

std::vector<Chip> FindChips(const SysfsTree& tree, const std::vector<std::string>& dirs,
                            const ChipKind& kind) {
  std::vector<Chip> chips;
  for (const std::string& entry : dirs) {
    const std::string dir = absl::StrCat(kDir, "/", entry);
    const absl::StatusOr<std::string> name = tree.Text(dir + "/name");
    if (!name.ok()) continue;
    if (std::find(kind.names.begin(), kind.names.end(), *name) == kind.names.end()) continue;
    chips.push_back({dir, *name});
  }
  return chips;
}

// "power1_input" and "power1_average" are one channel; the first of `endings` is preferred.
std::vector<Channel> FindChannels(const SysfsTree& tree, const Chip& chip, const std::string& stem,
                                  const std::vector<std::string>& endings,
                                  const std::string& label_prefix) {
  std::vector<Channel> channels;
  const absl::StatusOr<std::vector<std::string>> files = tree.List(chip.dir);
  if (!files.ok()) return channels;
  const std::regex pattern(stem + "([0-9]+)_.*");
  std::vector<std::string> numbers;
  for (const std::string& file : *files) {
    std::smatch match;
    if (!std::regex_match(file, match, pattern)) continue;
    if (std::find(numbers.begin(), numbers.end(), match[1].str()) != numbers.end()) continue;
    numbers.push_back(match[1].str());
  }
  for (const std::string& number : numbers) {
    const std::string base = absl::StrCat(chip.dir, "/", stem, number);
    const std::string label = tree.Text(base + "_label").value_or(stem + number);
    if (label.rfind(label_prefix, 0) != 0) continue;
    for (const std::string& ending : endings) {
      if (!tree.Exists(base + ending)) continue;
      channels.push_back({absl::StrCat(chip.name, " ", label), base + ending, ""});
      break;
    }
  }
  return channels;
}

std::vector<Channel> FindPower(const SysfsTree& tree, const Chip& chip, const ChipKind& kind) {
  std::vector<Channel> channels =
      FindChannels(tree, chip, "power", {"_input", "_average"}, kind.label);
  const std::string voltage = chip.dir + "/in1_input";
  const std::string current = chip.dir + "/curr1_input";
  if (channels.empty() && tree.Exists(voltage) && tree.Exists(current)) {
    channels.push_back({absl::StrCat(chip.name, " in1 x curr1"), voltage, current});
  }
  return channels;
}

int64_t UpdateUs(const SysfsTree& tree, const Chip& chip) {
  for (const char* const file : {"/power1_average_interval", "/update_interval"}) {
    const absl::StatusOr<int64_t> interval_ms = tree.Count(chip.dir + file);
    if (interval_ms.ok() && *interval_ms > 0 && *interval_ms < kMaxUpdateUs / 1000) {
      return std::max(kMinUpdateUs, *interval_ms * 1000);
    }
  }
  return kDefaultUpdateUs;
}

absl::StatusOr<double> ReadWatts(const SysfsTree& tree, const Channel& channel) {
  FW_ASSIGN_OR_RETURN(const int64_t value, tree.Integer(channel.path));
  if (channel.current_path.empty()) return static_cast<double>(value) * 1e-6;
  FW_ASSIGN_OR_RETURN(const int64_t current_ma, tree.Integer(channel.current_path));
  return static_cast<double>(value) * static_cast<double>(current_ma) * 1e-6;  // mV x mA = uW
}

std::string Labels(const std::vector<Channel>& channels) {
  return absl::StrJoin(
      channels, ", ", [](std::string* out, const Channel& channel) { out->append(channel.label); });
}

std::unique_ptr<EnergySource> EnergyOf(const SysfsTree& tree,
                                       const std::vector<Channel>& channels) {
  std::vector<EnergyCounter> counters;
  for (const Channel& channel : channels) {
    EnergyCounter counter;
    counter.label = channel.label;
    counter.step_uj = kEnergyStepUj;
    counter.max_watts = kMaxSocketWatts;
    counter.read_uj = [tree, path = channel.path]() -> absl::StatusOr<double> {
      FW_ASSIGN_OR_RETURN(const int64_t value, tree.Count(path));
      return static_cast<double>(value);
    };
    counters.push_back(std::move(counter));
  }
  return MakeCounterSource(std::move(counters), kEnergyUpdateUs);
}

std::unique_ptr<EnergySource> PowerOf(const SysfsTree& tree, const std::vector<Channel>& channels,
                                      int64_t update_us) {
  PowerSensor sensor;
  sensor.label = Labels(channels);
  sensor.update_us = update_us;
  sensor.read_w = [tree, channels]() -> absl::StatusOr<double> {
    double sum = 0;
    for (const Channel& channel : channels) {
      FW_ASSIGN_OR_RETURN(const double watts, ReadWatts(tree, channel));
      sum += watts;
    }
    return sum;
  };
  return MakePowerSource(std::move(sensor));
}

// nullopt: the machine has no chip of this kind. An error: it has, and it cannot be used.
absl::StatusOr<std::optional<SourceMeterSpec>> Use(const SysfsTree& tree, const ChipKind& kind,
                                                   const std::vector<std::string>& dirs) {
  const std::vector<Chip> chips = FindChips(tree, dirs, kind);
  if (chips.empty()) return std::optional<SourceMeterSpec>();
  if (kind.only_one && chips.size() > 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("there are ", chips.size(), " chips ", chips[0].name,
                     ", and nothing tells which of them sees the supply"));
  }
  std::vector<Channel> channels;
  int64_t update_us = kMinUpdateUs;
  for (const Chip& chip : chips) {
    const std::vector<Channel> more =
        kind.counts_energy ? FindChannels(tree, chip, "energy", {"_input"}, kind.label)
                           : FindPower(tree, chip, kind);
    channels.insert(channels.end(), more.begin(), more.end());
    update_us = std::max(update_us, UpdateUs(tree, chip));
  }
  if (channels.empty()) {
    return absl::NotFoundError(absl::StrCat(tree.Absolute(chips[0].dir), " (", chips[0].name,
                                            ") has no channel that sees the whole"));
  }
  for (const Channel& channel : channels) FW_RETURN_IF_ERROR(ReadWatts(tree, channel).status());
  SourceMeterSpec spec{.name = "hwmon", .description = Labels(channels), .scope = kind.scope};
  spec.source = kind.counts_energy ? EnergyOf(tree, channels) : PowerOf(tree, channels, update_us);
  return std::optional<SourceMeterSpec>(std::move(spec));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeHwmonMeter(const EnergyMeterEnv& env) {
  if (env.clock == nullptr) return absl::UnavailableError("no clock was given");
  const SysfsTree tree(env.sysfs_root, env.read_file);
  const absl::StatusOr<std::vector<std::string>> dirs = tree.List(kDir);
  if (!dirs.ok()) return absl::UnavailableError(std::string(dirs.status().message()));
  absl::Status first_error;
  for (const ChipKind& kind : ChipKinds()) {
    absl::StatusOr<std::optional<SourceMeterSpec>> spec = Use(tree, kind, *dirs);
    first_error.Update(spec.status());
    if (spec.ok() && spec->has_value()) return MakeSourceMeter(**std::move(spec), env);
  }
  if (!first_error.ok()) return absl::UnavailableError(std::string(first_error.message()));
  return absl::UnavailableError(
      absl::StrCat(tree.Absolute(kDir), " has no chip known to see the whole machine"));
}

}  // namespace fedwatt
