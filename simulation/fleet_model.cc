#include "simulation/fleet_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "simulation/availability_trace.h"
#include "simulation/fleet_csv.h"
#include "simulation/toml_table.h"

namespace fedwatt {
namespace {

constexpr double kMostSeconds = 1e9;
constexpr double kJoulesPerWattHour = 3600;
constexpr size_t kMaxClasses = 64;  // as a selector and a report can show

std::string BelowFolder(const std::string& folder, const std::string& path) {
  const bool as_it_is = absl::StartsWith(path, "/") || folder.empty();
  return as_it_is ? path : absl::StrCat(folder, "/", path);
}

void ReadOnOff(const toml::table& table, const std::string& source, const std::string& name,
               const std::string& folder, OnOff* out, absl::Status* status) {
  TomlTable fields(table, source, name);
  size_t pattern = static_cast<size_t>(out->pattern);
  fields.Word("pattern", {"always", "never", "diurnal", "exponential", "trace", "solar"}, &pattern);
  out->pattern = static_cast<OnOffPattern>(pattern);
  fields.Number("start_hour", -24, 48, &out->start_hour);
  fields.Number("hours", 0, 24, &out->hours);
  fields.Number("jitter_hours", 0, 12, &out->jitter_hours);
  fields.Number("mean_on_s", 0.001, kMostSeconds, &out->mean_on_s);
  fields.Number("mean_off_s", 0.001, kMostSeconds, &out->mean_off_s);
  fields.Text("path", &out->path);
  const bool from_file =
      out->pattern == OnOffPattern::kTrace || out->pattern == OnOffPattern::kSolar;
  if (from_file && out->path.empty()) {
    fields.Fail("pattern", "it needs its file; write path = \"trace.csv\"");
  }
  if (status->ok()) *status = fields.Finish();
  if (status->ok() && out->pattern == OnOffPattern::kSolar) {
    auto sun = LoadWattSeries(BelowFolder(folder, out->path));
    *status = sun.status();
    if (sun.ok()) out->sun = *std::move(sun);
  }
  if (!status->ok() || out->pattern != OnOffPattern::kTrace) return;
  auto traces = LoadAvailabilityTrace(BelowFolder(folder, out->path));
  *status = traces.status();
  if (traces.ok()) out->traces = *std::move(traces);
}

absl::StatusOr<DeviceClass> ReadClass(const toml::table& table, const std::string& source) {
  TomlTable fields(table, source, "class");
  DeviceClass out;
  double battery_wh = 0;
  double memory_mb = static_cast<double>(out.memory_bytes >> 20);
  std::string radio = RadioLinkName(out.radio);
  fields.Text("name", &out.name);
  fields.Number("share", 0, 1e9, &out.share);
  fields.Number("gflops", 1e-6, 1e9, &out.gflops);
  fields.Number("train_w", 0, 1e5, &out.train_w);
  fields.Number("idle_w", 0, 1e5, &out.battery.idle_w);
  fields.Number("battery_wh", 0, 1e6, &battery_wh);
  fields.Number("charge_w", 0, 1e5, &out.battery.charge_w);
  fields.Range("initial_charge", 0, 1, &out.charge_min, &out.charge_max);
  fields.Number("down_mbps", 1e-6, 1e6, &out.down_mbps);
  fields.Number("up_mbps", 1e-6, 1e6, &out.up_mbps);
  fields.Number("latency_ms", 0, 60'000, &out.latency_ms);
  fields.Text("radio", &radio);
  fields.Text("region", &out.region);
  fields.Text("power_domain", &out.power_domain);
  fields.Number("utc_offset_hours", -14, 14, &out.utc_offset_hours);
  fields.Number("memory_mb", 1, 1e9, &memory_mb);
  out.battery.capacity_j = battery_wh * kJoulesPerWattHour;
  out.memory_bytes = static_cast<uint64_t>(memory_mb) << 20;
  const absl::StatusOr<RadioLink> link = ParseRadioLink(radio);
  if (link.ok()) {
    out.radio = *link;
  } else {
    fields.Fail("radio", std::string(link.status().message()));
  }
  FW_RETURN_IF_ERROR(fields.Finish());
  return out;
}

void ReadHabits(TomlTable* fields, FleetModel* out) {
  double examples_min = static_cast<double>(out->examples_min);
  double examples_max = static_cast<double>(out->examples_max);
  double long_poll_s = static_cast<double>(out->long_poll_ms) / 1000;
  double check_s = static_cast<double>(out->condition_check_ms) / 1000;
  size_t attack = 0;
  fields->Range("examples", 1, 1e9, &examples_min, &examples_max);
  fields->Number("work_scale", 1e-9, 1e9, &out->work_scale);
  fields->Number("min_charge", 0, 0.9, &out->min_charge);
  fields->Flag("require_charging", &out->require_charging);
  fields->Number("revive_charge", 0.001, 1, &out->revive_charge);
  fields->Number("condition_check_s", 1, 3600, &check_s);
  fields->Number("start_hour", 0, 24, &out->start_hour);
  fields->Number("arrivals_per_s", 0.001, 1e9, &out->arrivals_per_s);
  fields->Number("long_poll_s", 0, 3600, &long_poll_s);
  fields->Number("dropouts_per_hour", 0, 3600, &out->dropouts_per_hour);
  fields->Number("dropout_s", 1, kMostSeconds, &out->dropout_s);
  fields->Number("misreporters", 0, 1, &out->misreporters);
  fields->NumberOrRange("misreport_factor", 0, 1e6, &out->misreport_min, &out->misreport_max);
  fields->Number("malicious", 0, 1, &out->malicious);
  fields->Word("attack", {"scale", "nan", "garbage", "overclaim"}, &attack);
  out->examples_min = static_cast<uint64_t>(examples_min);
  out->examples_max = static_cast<uint64_t>(examples_max);
  out->long_poll_ms = static_cast<int64_t>(long_poll_s * 1000);
  out->condition_check_ms = static_cast<int64_t>(check_s * 1000);
  out->attack = static_cast<Attack>(attack);
}

absl::StatusOr<toml::table> ParseToml(const std::string& text, const std::string& source) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat(source, ":", error.source().begin.line, ": ",
                                                   std::string(error.description())));
  }
}

absl::Status ReadClasses(TomlTable* fields, std::vector<DeviceClass>* classes) {
  for (const toml::table* const table : fields->Tables("class")) {
    FW_ASSIGN_OR_RETURN(DeviceClass one, ReadClass(*table, fields->source()));
    classes->push_back(std::move(one));
  }
  return absl::OkStatus();
}

// The classes of the file that the key `classes` names, if it is there.
absl::Status ReadClassesFile(const std::string& folder, TomlTable* fields,
                             std::vector<DeviceClass>* classes) {
  std::string path;
  fields->Text("classes", &path);
  if (path.empty()) return absl::OkStatus();
  if (fields->Has("class")) {
    fields->Fail("classes", "the classes are here or in that file, not in both");
    return absl::OkStatus();
  }
  path = BelowFolder(folder, path);
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, bounds::kMaxConfigBytes));
  FW_ASSIGN_OR_RETURN(const std::string as_toml, FleetCsvAsToml(text, path));
  FW_ASSIGN_OR_RETURN(const toml::table root, ParseToml(as_toml, path));
  TomlTable rows(root, path, "");
  return ReadClasses(&rows, classes);
}

// Whether each class has its sun.
absl::Status CheckSun(const OnOff& model, const FleetModel& fleet, const std::string& source) {
  if (model.pattern != OnOffPattern::kSolar) return absl::OkStatus();
  for (const DeviceClass& one : fleet.classes) {
    const TimeSeries* const sun = SunOf(model, one.region);
    const std::string name = absl::StrCat(source, ": class ", one.name, ": ", model.path, " ");
    if (sun == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, "has no domain \"", one.region, "\", its region; name one"));
    }
    if (sun->Most() <= 0) return absl::InvalidArgumentError(absl::StrCat(name, "is always dark"));
  }
  return absl::OkStatus();
}

// Can any device of it ever work?
absl::Status CheckPossible(const FleetModel& fleet, const std::string& source) {
  const auto impossible = [&source](const std::string& why) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": no device of this fleet can ever work: ", why));
  };
  const double shares =
      std::accumulate(fleet.classes.begin(), fleet.classes.end(), 0.0,
                      [](double sum, const DeviceClass& one) { return sum + one.share; });
  if (shares <= 0) return impossible("every class has share = 0");
  const auto never = [](const OnOff& model) {
    const bool empty = std::all_of(model.traces.begin(), model.traces.end(),
                                   [](const auto& trace) { return trace.empty(); });
    return model.pattern == OnOffPattern::kNever ||
           (model.pattern == OnOffPattern::kDiurnal && model.hours + model.jitter_hours <= 0) ||
           (model.pattern == OnOffPattern::kTrace && empty);
  };
  FW_RETURN_IF_ERROR(CheckSun(fleet.charging, fleet, source));
  FW_RETURN_IF_ERROR(CheckSun(fleet.availability, fleet, source));
  if (never(fleet.availability)) return impossible("availability is never");
  const bool may = std::any_of(
      fleet.classes.begin(), fleet.classes.end(), [&fleet, &never](const DeviceClass& one) {
        if (one.share <= 0) return false;
        if (one.battery.capacity_j <= 0) return true;
        const bool charges = !never(fleet.charging) && one.battery.charge_w > 0;
        if (fleet.require_charging) return charges;
        return charges || one.charge_max > fleet.min_charge;
      });
  if (may) return absl::OkStatus();
  return impossible(fleet.require_charging
                        ? "require_charging = true, and none is ever charged; set [charging] and "
                          "charge_w of a class"
                        : "every battery begins at or below min_charge, and none is ever charged; "
                          "raise initial_charge, or set [charging] and charge_w of a class");
}

}  // namespace

FleetModel DefaultFleet() {
  FleetModel fleet;
  fleet.name = "default (synthetic)";
  DeviceClass phone{.name = "phone", .share = 0.5, .gflops = 5, .train_w = 3};
  DeviceClass tablet{.name = "tablet", .share = 0.3, .gflops = 10, .train_w = 6};
  DeviceClass board{.name = "board", .share = 0.2, .gflops = 20, .train_w = 12};
  board.radio = RadioLink::kEthernet;
  fleet.classes = {phone, tablet, board};
  return fleet;
}

absl::StatusOr<FleetModel> ParseFleetModel(const std::string& text, const std::string& source,
                                           const std::string& folder) {
  FW_ASSIGN_OR_RETURN(const toml::table root, ParseToml(text, source));
  FleetModel fleet;
  TomlTable fields(root, source, "");
  size_t assign = 0;
  fields.Text("name", &fleet.name);
  fields.Word("assign", {"shuffled", "in_order"}, &assign);
  fleet.in_order = assign == 1;
  ReadHabits(&fields, &fleet);
  absl::Status status;
  if (const toml::table* const table = fields.Table("availability")) {
    ReadOnOff(*table, source, "availability", folder, &fleet.availability, &status);
  }
  if (const toml::table* const table = fields.Table("charging")) {
    ReadOnOff(*table, source, "charging", folder, &fleet.charging, &status);
  }
  FW_RETURN_IF_ERROR(status);
  FW_RETURN_IF_ERROR(ReadClassesFile(folder, &fields, &fleet.classes));
  FW_RETURN_IF_ERROR(ReadClasses(&fields, &fleet.classes));
  FW_RETURN_IF_ERROR(fields.Finish());
  if (fleet.classes.empty() || fleet.classes.size() > kMaxClasses) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", fleet.classes.size(),
                                                   " device classes; write 1 to ", kMaxClasses,
                                                   " tables [[class]], or rows of a CSV"));
  }
  FW_RETURN_IF_ERROR(CheckPossible(fleet, source));
  return fleet;
}

absl::StatusOr<FleetModel> LoadFleetModel(const std::string& path) {
  FW_ASSIGN_OR_RETURN(std::string text, ReadFile(path, bounds::kMaxConfigBytes));
  if (absl::EndsWith(path, ".csv")) {
    FW_ASSIGN_OR_RETURN(text, FleetCsvAsToml(text, path));
  }
  return ParseFleetModel(text, path, DirName(path));
}

DeviceTraits TraitsOf(const FleetModel& fleet, uint64_t seed, uint64_t device, uint64_t devices) {
  Rng rng(RngKey{.job = "",
                 .round = 0,
                 .client = absl::StrCat(device),
                 .purpose = "device-traits",
                 .seed = seed});
  DeviceTraits traits;
  double shares = 0;
  for (const DeviceClass& one : fleet.classes) shares += one.share;
  const double drawn = rng.Uniform01();
  const double place =
      fleet.in_order ? (static_cast<double>(device) + 0.5) / static_cast<double>(devices) : drawn;
  double sum = 0;
  while (traits.class_index + 1 < fleet.classes.size()) {
    sum += fleet.classes[traits.class_index].share;
    if (place * shares < sum) break;
    ++traits.class_index;
  }
  const DeviceClass& one = fleet.classes[traits.class_index];
  traits.examples =
      fleet.examples_min + rng.UniformInt(fleet.examples_max - fleet.examples_min + 1);
  traits.initial_charge = one.charge_min + (one.charge_max - one.charge_min) * rng.Uniform01();
  const bool misreports = rng.Uniform01() < fleet.misreporters;
  traits.malicious = rng.Uniform01() < fleet.malicious;
  const double place_in_range = rng.Uniform01();
  if (misreports) {
    traits.claim_factor = static_cast<float>(
        fleet.misreport_min + (fleet.misreport_max - fleet.misreport_min) * place_in_range);
  }
  return traits;
}

}  // namespace fedwatt
