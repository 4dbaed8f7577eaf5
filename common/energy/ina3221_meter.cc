#include "common/energy/ina3221_meter.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/energy/power_source.h"
#include "common/energy/source_meter.h"

namespace fedwatt {
namespace {

constexpr int64_t kDefaultUpdateUs = 100'000;
constexpr int64_t kMinUpdateUs = 10'000;
constexpr int64_t kMaxUpdateMs = 60'000;
constexpr double kMaxBoardWatts = 500;

struct Rail {
  std::string label;
  std::string voltage_path;  // mV; empty: power_path alone
  std::string current_path;  // mA
  std::string power_path;    // mW
  int64_t update_us = kDefaultUpdateUs;
};

void AddHwmonRails(const SysfsTree& tree, const std::string& dir, std::vector<Rail>* rails) {
  int64_t update_us = kDefaultUpdateUs;
  const absl::StatusOr<int64_t> interval_ms = tree.Count(dir + "/update_interval");
  if (interval_ms.ok() && *interval_ms > 0 && *interval_ms <= kMaxUpdateMs) {
    update_us = std::max(kMinUpdateUs, *interval_ms * 1000);
  }
  for (int channel = 1; channel <= 3; ++channel) {
    const std::string in = absl::StrCat(dir, "/in", channel);
    const absl::StatusOr<std::string> label = tree.Text(in + "_label");
    if (!label.ok() || tree.Count(in + "_enable").value_or(1) == 0) continue;
    rails->push_back({.label = *label,
                      .voltage_path = in + "_input",
                      .current_path = absl::StrCat(dir, "/curr", channel, "_input"),
                      .update_us = update_us});
  }
}

void AddIioRails(const SysfsTree& tree, const std::string& dir, std::vector<Rail>* rails) {
  for (int channel = 0; channel <= 2; ++channel) {
    const absl::StatusOr<std::string> label = tree.Text(absl::StrCat(dir, "/rail_name_", channel));
    if (!label.ok()) continue;
    rails->push_back(
        {.label = *label, .power_path = absl::StrCat(dir, "/in_power", channel, "_input")});
  }
}

// Of all chips of the board. Empty: it has none.
std::vector<Rail> FindRails(const SysfsTree& tree) {
  std::vector<Rail> rails;
  for (const char* const driver : {"ina3221", "ina3221x"}) {
    const std::string drivers = absl::StrCat("sys/bus/i2c/drivers/", driver);
    for (const std::string& chip : tree.List(drivers).value_or(std::vector<std::string>())) {
      const std::string dir = absl::StrCat(drivers, "/", chip);
      const std::string hwmon = dir + "/hwmon";
      for (const std::string& entry : tree.List(hwmon).value_or(std::vector<std::string>())) {
        AddHwmonRails(tree, absl::StrCat(hwmon, "/", entry), &rails);
      }
      for (const std::string& entry : tree.List(dir).value_or(std::vector<std::string>())) {
        if (entry.rfind("iio:device", 0) == 0) {
          AddIioRails(tree, absl::StrCat(dir, "/", entry), &rails);
        }
      }
    }
  }
  return rails;
}

absl::StatusOr<double> ReadWatts(const SysfsTree& tree, const Rail& rail) {
  if (!rail.power_path.empty()) {
    FW_ASSIGN_OR_RETURN(const int64_t power_mw, tree.Integer(rail.power_path));
    return static_cast<double>(power_mw) * 1e-3;
  }
  FW_ASSIGN_OR_RETURN(const int64_t voltage_mv, tree.Integer(rail.voltage_path));
  FW_ASSIGN_OR_RETURN(const int64_t current_ma, tree.Integer(rail.current_path));
  return static_cast<double>(voltage_mv) * static_cast<double>(current_ma) * 1e-6;
}

absl::StatusOr<Rail> FindTotal(const SysfsTree& tree) {
  const std::vector<Rail> rails = FindRails(tree);
  if (rails.empty()) {
    return absl::NotFoundError(
        absl::StrCat(tree.Absolute("sys/bus/i2c/drivers"), " has no ina3221 (a Jetson has)"));
  }
  std::vector<std::string> others;
  for (const Rail& rail : rails) {
    if (rail.label == "VDD_IN" || rail.label == "POM_5V_IN") return rail;
    if (rail.label != "NC") others.push_back(rail.label);
  }
  return absl::NotFoundError(
      absl::StrCat("the ina3221 has no rail of the whole board (VDD_IN or POM_5V_IN), only ",
                   others.empty() ? std::string("unconnected ones") : absl::StrJoin(others, ", ")));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeIna3221Meter(const EnergyMeterEnv& env) {
  if (env.clock == nullptr) return absl::UnavailableError("no clock was given");
  const SysfsTree tree(env.sysfs_root, env.read_file);
  const absl::StatusOr<Rail> rail = FindTotal(tree);
  const absl::Status usable = rail.ok() ? ReadWatts(tree, *rail).status() : rail.status();
  if (!usable.ok()) return absl::UnavailableError(std::string(usable.message()));
  PowerSensor sensor{.label = absl::StrCat("ina3221 ", rail->label)};
  sensor.update_us = rail->update_us;
  sensor.max_watts = kMaxBoardWatts;
  sensor.read_w = [tree, rail = *rail] { return ReadWatts(tree, rail); };
  SourceMeterSpec spec{
      .name = "ina3221", .description = sensor.label, .scope = EnergyScope::kBoard};
  spec.source = MakePowerSource(std::move(sensor));
  return MakeSourceMeter(std::move(spec), env);
}

}  // namespace fedwatt
