#include "client/sdk/linux_conditions.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/energy/sysfs_tree.h"

namespace fedwatt {
namespace {

constexpr char kSupplies[] = "sys/class/power_supply";
constexpr char kThermal[] = "sys/class/thermal";
constexpr uint64_t kMaxSmallFile = 1 << 20;
// A shorter window sees single ticks of the kernel's count.
constexpr int64_t kMinWindowUs = 1'000'000;
constexpr double kMaxFill = 1.1;  // worn gauges show a little more than full
constexpr double kMaxWattHours = 1e6;
constexpr double kMinSaneC = -40;
constexpr double kMaxSaneC = 150;

struct Gauge {
  double now_wh = 0;
  double full_wh = 0;
};

class LinuxConditions final : public DeviceConditions {
 public:
  explicit LinuxConditions(LinuxConditionsOptions options)
      : options_(std::move(options)), tree_(options_.root) {}

  DeviceState Read() override {
    DeviceState state;
    ReadSupplies(&state);
    ReadThermalZones(&state);
    state.metered = Metered();
    state.load = Load();
    return state;
  }

 private:
  struct Supplies {
    int batteries = 0;
    bool discharging = false;
    bool filling = false;
    bool held = false;  // full, or kept below full
    std::optional<bool> online;
    // Of all batteries; empty once one of them does not tell.
    std::optional<Gauge> energy = Gauge();
    std::optional<double> percents = 0;
  };

  std::optional<double> Number(const std::string& path) const {
    const absl::StatusOr<int64_t> value = tree_.Integer(path);
    return value.ok() ? std::optional(static_cast<double>(*value)) : std::nullopt;
  }

  void ReadSupplies(DeviceState* state) const {
    Supplies all;
    const absl::StatusOr<std::vector<std::string>> names = tree_.List(kSupplies);
    if (!names.ok() && !absl::IsNotFound(names.status())) return;
    if (names.ok()) {
      for (const std::string& name : *names) ReadSupply(name, &all, state);
    }
    state->charging = OnExternalPower(all);
    if (all.batteries == 0) return;
    if (all.energy.has_value()) {
      state->capacity_wh = all.energy->full_wh;
      state->charge = std::clamp(all.energy->now_wh / all.energy->full_wh, 0.0, 1.0);
    } else if (all.percents.has_value()) {
      state->charge = std::clamp(*all.percents / 100 / all.batteries, 0.0, 1.0);
    }
  }

  static std::optional<bool> OnExternalPower(const Supplies& all) {
    // Also beside a charger: one that gives less than the device takes.
    if (all.discharging) return false;
    if (all.filling) return true;
    if (all.online.has_value()) return all.online;
    if (all.held || all.batteries == 0) return true;
    return std::nullopt;
  }

  void ReadSupply(const std::string& name, Supplies* all, DeviceState* state) const {
    const std::string dir = absl::StrCat(kSupplies, "/", name);
    if (tree_.Text(dir + "/scope").value_or("") == "Device") return;
    if (tree_.Text(dir + "/type").value_or("") != "Battery") {
      const std::optional<double> online = Number(dir + "/online");
      if (online.has_value()) all->online = all->online.value_or(false) || *online > 0;
      return;
    }
    if (Number(dir + "/present") == 0.0) return;  // an empty bay
    ++all->batteries;
    const std::string status = tree_.Text(dir + "/status").value_or("");
    all->discharging |= status == "Discharging";
    all->filling |= status == "Charging";
    all->held |= status == "Full" || status == "Not charging";
    AddGauge(name, dir, all, state);
    if (const std::optional<double> tenths = Number(dir + "/temp")) {
      TakeTemperature(name, *tenths / 10, state);
    }
  }

  void AddGauge(const std::string& name, const std::string& dir, Supplies* all,
                DeviceState* state) const {
    const auto disbelieve = [&](const std::string& what) {
      state->flaws.push_back(absl::StrCat(name, " reports ", what, " while the device runs: its ",
                                          "gauge is not believed, its charge is unknown"));
      all->energy.reset();
      all->percents.reset();
    };
    const std::optional<double> percent = Number(dir + "/capacity");
    if (percent.has_value() && (*percent <= 0 || *percent > 100 * kMaxFill)) {
      return disbelieve(absl::StrCat("a capacity of ", *percent, " %"));
    }
    if (!percent.has_value()) all->percents.reset();
    if (all->percents.has_value()) *all->percents += *percent;
    const std::optional<Gauge> gauge = Energy(dir, percent);
    if (!gauge.has_value()) {
      all->energy.reset();
      return;
    }
    const bool sane = gauge->full_wh > 0 && gauge->full_wh <= kMaxWattHours && gauge->now_wh > 0 &&
                      gauge->now_wh <= gauge->full_wh * kMaxFill;
    if (!sane) return disbelieve(absl::StrCat(gauge->now_wh, " of ", gauge->full_wh, " Wh"));
    if (all->energy.has_value()) {
      all->energy->now_wh += gauge->now_wh;
      all->energy->full_wh += gauge->full_wh;
    }
  }

  // In microwatt-hours, or in microampere-hours at the voltage that the design states.
  std::optional<Gauge> Energy(const std::string& dir, const std::optional<double>& percent) const {
    std::optional<double> full = Number(dir + "/energy_full");
    std::optional<double> now = Number(dir + "/energy_now");
    double wh_per_unit = 1e-6;
    if (!full.has_value()) {
      full = Number(dir + "/charge_full");
      now = Number(dir + "/charge_now");
      std::optional<double> volts = Number(dir + "/voltage_min_design");
      if (!volts.has_value()) volts = Number(dir + "/voltage_now");
      if (!full.has_value() || !volts.has_value()) return std::nullopt;
      wh_per_unit = 1e-12 * *volts;
    }
    if (!now.has_value() && percent.has_value()) now = *full * *percent / 100;
    if (!now.has_value()) return std::nullopt;
    return Gauge{*now * wh_per_unit, *full * wh_per_unit};
  }

  // Zones without a sensor show 0 or what is beyond any chip.
  static void TakeTemperature(const std::string& name, double celsius, DeviceState* state) {
    if (celsius == 0 || celsius < kMinSaneC || celsius > kMaxSaneC) return;
    if (state->temperature_c.has_value() && *state->temperature_c >= celsius) return;
    state->temperature_c = celsius;
    state->hottest = name;
  }

  void ReadThermalZones(DeviceState* state) const {
    const absl::StatusOr<std::vector<std::string>> names = tree_.List(kThermal);
    if (!names.ok()) return;
    for (const std::string& name : *names) {
      if (!absl::StartsWith(name, "thermal_zone")) continue;
      const std::string dir = absl::StrCat(kThermal, "/", name);
      const std::optional<double> thousandths = Number(dir + "/temp");
      if (!thousandths.has_value()) continue;
      TakeTemperature(tree_.Text(dir + "/type").value_or(name), *thousandths / 1000, state);
    }
  }

  std::optional<bool> Metered() const {
    if (options_.metered.has_value()) return options_.metered;
    if (!options_.metered_file.empty()) return MeteredByFile();
    const std::string route = DefaultRoute();
    const bool modem =
        absl::StartsWith(route, "rmnet") || absl::StartsWith(route, "ccmni") ||
        (!route.empty() &&
         absl::StrContains(
             tree_.Text(absl::StrCat("sys/class/net/", route, "/uevent")).value_or(""),
             "DEVTYPE=wwan"));
    return modem ? std::optional(true) : std::nullopt;
  }

  std::optional<bool> MeteredByFile() const {
    const absl::StatusOr<std::string> text = ReadFile(options_.metered_file, kMaxSmallFile);
    if (!text.ok()) return std::nullopt;
    // NetworkManager's own words: "yes", "no", "yes (guessed)", "unknown".
    const std::string word =
        absl::AsciiStrToLower(std::string(absl::StripAsciiWhitespace(*text))).substr(0, 3);
    if (word == "1" || word == "yes") return true;
    if (word == "0" || word == "no" || word == "no ") return false;
    return std::nullopt;
  }

  // The interface with the lowest metric, or "".
  std::string DefaultRoute() const {
    const absl::StatusOr<std::string> text =
        ReadFile(tree_.Absolute("proc/net/route"), kMaxSmallFile);
    if (!text.ok()) return "";
    std::istringstream lines(*text);
    std::string line, best;
    int64_t best_metric = 0;
    std::getline(lines, line);  // titles
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::string name, destination, gateway, flags, references, use;
      int64_t metric = 0;
      if (!(words >> name >> destination >> gateway >> flags >> references >> use >> metric) ||
          destination != "00000000") {
        continue;
      }
      if (best.empty() || metric < best_metric) {
        best = name;
        best_metric = metric;
      }
    }
    return best;
  }

  // Lines "cpu0", "cpu1", ... of /proc/stat; 0: unknown.
  int Processors() const {
    const absl::StatusOr<std::string> text = ReadFile(tree_.Absolute("proc/stat"), kMaxSmallFile);
    if (!text.ok()) return 0;
    const std::vector<std::string> lines = absl::StrSplit(*text, '\n');
    return static_cast<int>(std::count_if(lines.begin(), lines.end(), [](const auto& line) {
      return line.size() > 3 && absl::StartsWith(line, "cpu") && absl::ascii_isdigit(line[3]);
    }));
  }

  std::optional<double> LoadAverage(int processors) const {
    const absl::StatusOr<std::string> text = tree_.Text("proc/loadavg");
    double runnable = 0;
    if (!text.ok() || !absl::SimpleAtod(text->substr(0, text->find(' ')), &runnable) ||
        !(runnable >= 0)) {
      return std::nullopt;
    }
    return std::min(runnable / processors, 1.0);
  }

  std::optional<double> Load() {
    if (options_.clock == nullptr) return std::nullopt;
    const int processors = Processors();
    const absl::StatusOr<int64_t> machine_us = MachineCpuTimeUs(options_.root);
    if (processors == 0 || !machine_us.ok()) return std::nullopt;
    const int64_t now_us = options_.clock->MonotonicUs();
    const int64_t own_us = options_.own_cpu_time_us ? options_.own_cpu_time_us() : 0;
    if (!seen_.has_value()) {
      seen_ = Seen{now_us, *machine_us, own_us};
      load_ = LoadAverage(processors);
      return load_;
    }
    const int64_t window_us = now_us - seen_->at_us;
    if (window_us < kMinWindowUs) return load_;
    // A trainer that ended may take its CPU time along.
    const int64_t own = std::max<int64_t>(0, own_us - seen_->own_us);
    const double others = static_cast<double>(*machine_us - seen_->machine_us - own);
    load_ = std::clamp(others / (static_cast<double>(window_us) * processors), 0.0, 1.0);
    seen_ = Seen{now_us, *machine_us, own_us};
    return load_;
  }

  struct Seen {
    int64_t at_us = 0;
    int64_t machine_us = 0;
    int64_t own_us = 0;
  };

  const LinuxConditionsOptions options_;
  const SysfsTree tree_;
  std::optional<Seen> seen_;
  std::optional<double> load_;
};

}  // namespace

std::unique_ptr<DeviceConditions> MakeLinuxConditions(LinuxConditionsOptions options) {
  return std::make_unique<LinuxConditions>(std::move(options));
}

}  // namespace fedwatt
