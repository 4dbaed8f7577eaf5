#include "common/energy/battery_meter.h"

#include <algorithm>
#include <cmath>
#include <optional>
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

constexpr char kDir[] = "sys/class/power_supply";
constexpr int64_t kPowerUpdateUs = 1'000'000;  // most gauges; some take 30 s to follow a step
constexpr int64_t kEnergyUpdateUs = 10'000'000;
constexpr double kMaxBatteryWatts = 500;
constexpr double kEnergyStepUj = 36e6;  // 10 mWh, ACPI's usual step
constexpr double kUjPerUwh = 3600;
constexpr double kUjPerUahUv = 3.6e-3;

enum class Way { kPower, kCurrent, kEnergy, kCharge };

struct Battery {
  std::string name;  // "BAT0"
  std::string dir;
  Way way = Way::kPower;
  // What a discharge's sign is with this driver, and what was last charged: found when reading.
  int sign = 0;
  std::optional<double> last_charge_uah;
  double spent_uj = 0;
};

absl::Status NotOurs(const std::string& text) { return absl::FailedPreconditionError(text); }

// The batteries of the device behind one reading; several are added up.
class Batteries {
 public:
  explicit Batteries(SysfsTree tree) : tree_(std::move(tree)) {}

  // NOT_FOUND without a battery, FAILED_PRECONDITION if none discharges.
  absl::Status Find() {
    FW_ASSIGN_OR_RETURN(const std::vector<std::string> entries, tree_.List(kDir));
    for (const std::string& entry : entries) {
      Battery battery{.name = entry, .dir = absl::StrCat(kDir, "/", entry)};
      if (tree_.Text(battery.dir + "/type").value_or("") != "Battery") continue;
      if (tree_.Text(battery.dir + "/scope").value_or("") == "Device") continue;
      FW_RETURN_IF_ERROR(CheckGauge(battery));
      FW_ASSIGN_OR_RETURN(battery.way, ChooseWay(battery));
      batteries_.push_back(std::move(battery));
    }
    if (batteries_.empty()) {
      return absl::NotFoundError(absl::StrCat(tree_.Absolute(kDir), " has no battery"));
    }
    return (integrates() ? Watts().status() : SpentUj().status());
  }

  // Whether all of them tell their power; else their charge is the counter.
  bool integrates() const {
    return std::all_of(batteries_.begin(), batteries_.end(), [](const Battery& battery) {
      return battery.way == Way::kPower || battery.way == Way::kCurrent;
    });
  }

  std::string Labels() const {
    return absl::StrJoin(batteries_, ", ", [](std::string* out, const Battery& battery) {
      static const char* const kFiles[] = {"power_now", "current_now x voltage_now", "energy_now",
                                           "charge_now x voltage_now"};
      absl::StrAppend(out, battery.name, " ", kFiles[static_cast<int>(battery.way)]);
    });
  }

  absl::StatusOr<double> Watts() {
    FW_ASSIGN_OR_RETURN(const std::vector<Battery*> giving, Giving());
    double sum = 0;
    for (Battery* const battery : giving) {
      FW_ASSIGN_OR_RETURN(const double watts, WattsOf(battery));
      sum += watts;
    }
    return sum;
  }

  // Since the first call; falls when charge is added.
  absl::StatusOr<double> SpentUj() {
    FW_RETURN_IF_ERROR(Giving().status());
    double sum = 0;
    for (Battery& battery : batteries_) {
      FW_RETURN_IF_ERROR(CountSpent(&battery));
      sum += battery.spent_uj;
    }
    return sum;
  }

 private:
  absl::StatusOr<double> Number(const Battery& battery, const char* file) const {
    FW_ASSIGN_OR_RETURN(const int64_t value, tree_.Integer(absl::StrCat(battery.dir, "/", file)));
    return static_cast<double>(value);
  }

  absl::Status CheckGauge(const Battery& battery) const {
    for (const char* const file : {"capacity", "energy_full", "charge_full"}) {
      const absl::StatusOr<double> value = Number(battery, file);
      if (value.ok() && *value <= 0) {
        return absl::DataLossError(absl::StrCat(battery.name, " reports a ", file, " of ",
                                                std::llround(*value),
                                                " while the device runs: its gauge is not to be "
                                                "believed"));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Way> ChooseWay(const Battery& battery) const {
    // A driver that does not measure shows 0.
    const auto tells = [&](const char* file) { return Number(battery, file).value_or(0) != 0; };
    if (tells("power_now")) return Way::kPower;
    const bool voltage = tells("voltage_now");
    if (voltage && tells("current_now")) return Way::kCurrent;
    if (tells("energy_now")) return Way::kEnergy;
    if (voltage && tells("charge_now")) return Way::kCharge;
    return absl::NotFoundError(absl::StrCat(
        battery.name, " tells neither power_now, current_now, energy_now nor charge_now"));
  }

  // Those that discharge.
  absl::StatusOr<std::vector<Battery*>> Giving() {
    std::vector<Battery*> giving;
    std::string idle;
    for (Battery& battery : batteries_) {
      FW_ASSIGN_OR_RETURN(const std::string status, tree_.Text(battery.dir + "/status"));
      if (status == "Discharging") {
        giving.push_back(&battery);
      } else if (status == "Charging") {
        return NotOurs(
            absl::StrCat(battery.name, " is charging: its current is not what the device uses"));
      } else {
        absl::StrAppend(&idle, idle.empty() ? "" : ", ", battery.name, " is '", status, "'");
      }
    }
    if (giving.empty()) return NotOurs(absl::StrCat("no battery discharges: ", idle));
    return giving;
  }

  absl::StatusOr<double> WattsOf(Battery* battery) {
    const bool power = battery->way == Way::kPower;
    const char* const file = power ? "power_now" : "current_now";
    FW_ASSIGN_OR_RETURN(const double value, Number(*battery, file));
    if (value == 0) {
      return absl::UnavailableError(
          absl::StrCat(battery->name, "/", file, " reads 0 while the device runs"));
    }
    const int sign = value > 0 ? 1 : -1;
    if (battery->sign == 0) battery->sign = sign;
    if (battery->sign != sign) {
      return NotOurs(absl::StrCat(battery->name, "/", file,
                                  " changed its sign while the status is ",
                                  "'Discharging': charging has begun"));
    }
    if (power) return std::abs(value) * 1e-6;
    FW_ASSIGN_OR_RETURN(const double voltage_uv, Number(*battery, "voltage_now"));
    return std::abs(value) * voltage_uv * 1e-12;
  }

  absl::Status CountSpent(Battery* battery) {
    double charge_uah = 0, uj_per_unit = kUjPerUwh;
    if (battery->way == Way::kEnergy || battery->way == Way::kPower) {
      FW_ASSIGN_OR_RETURN(charge_uah, Number(*battery, "energy_now"));
    } else {
      FW_ASSIGN_OR_RETURN(charge_uah, Number(*battery, "charge_now"));
      FW_ASSIGN_OR_RETURN(const double voltage_uv, Number(*battery, "voltage_now"));
      uj_per_unit = kUjPerUahUv * voltage_uv;
    }
    if (battery->last_charge_uah.has_value()) {
      battery->spent_uj += (*battery->last_charge_uah - charge_uah) * uj_per_unit;
    }
    battery->last_charge_uah = charge_uah;
    return absl::OkStatus();
  }

  const SysfsTree tree_;
  std::vector<Battery> batteries_;
};

std::unique_ptr<EnergySource> SourceOf(const std::shared_ptr<Batteries>& batteries) {
  if (batteries->integrates()) {
    return MakePowerSource({.label = batteries->Labels(),
                            .read_w = [batteries] { return batteries->Watts(); },
                            .update_us = kPowerUpdateUs,
                            .max_watts = kMaxBatteryWatts});
  }
  EnergyCounter counter;
  counter.label = batteries->Labels();
  counter.read_uj = [batteries] { return batteries->SpentUj(); };
  counter.step_uj = kEnergyStepUj;
  counter.max_watts = kMaxBatteryWatts;
  counter.fall_means = "the charge rose: charging has begun";
  std::vector<EnergyCounter> counters;
  counters.push_back(std::move(counter));
  return MakeCounterSource(std::move(counters), kEnergyUpdateUs, kEnergyUpdateUs);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeBatteryMeter(const EnergyMeterEnv& env) {
  if (env.clock == nullptr) return absl::UnavailableError("no clock was given");
  const auto batteries = std::make_shared<Batteries>(SysfsTree(env.sysfs_root, env.read_file));
  const absl::Status found = batteries->Find();
  if (!found.ok()) return absl::UnavailableError(std::string(found.message()));
  SourceMeterSpec spec{.name = "battery", .scope = EnergyScope::kDevice};
  spec.description = batteries->Labels();
  spec.source = SourceOf(batteries);
  return MakeSourceMeter(std::move(spec), env);
}

}  // namespace fedwatt
