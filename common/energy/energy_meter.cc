#include "common/energy/energy_meter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/energy/battery_meter.h"
#include "common/energy/cpu_time_meter.h"
#include "common/energy/host_meter.h"
#include "common/energy/hwmon_meter.h"
#include "common/energy/ina3221_meter.h"
#include "common/energy/joined_meter.h"
#include "common/energy/nvml_meter.h"
#include "common/energy/perf_meter.h"
#include "common/energy/polled_meter.h"
#include "common/energy/radio_meter.h"
#include "common/energy/rapl_meter.h"
#include "common/energy/simulated_meter.h"

namespace fedwatt {
namespace {

constexpr char kAuto[] = "auto";
constexpr char kRadio[] = "radio";

// The parts of a choice before they are joined.
struct Parts {
  std::unique_ptr<EnergyMeter> main;
  std::vector<std::unique_ptr<EnergyMeter>> beside;
};

std::string Described(const EnergyMeter& meter) {
  return absl::StrCat(meter.name(), " (", EnergyQualityName(meter.quality()), ", ",
                      EnergyScopeName(meter.scope()), ")");
}

std::string Rejection(const std::string& name, const absl::Status& status) {
  return absl::StrCat(name, ": ", std::string(status.message()));
}

absl::StatusOr<const EnergyMeterEntry*> FindEntry(const std::string& name) {
  std::vector<std::string> names = {kAuto};
  for (const EnergyMeterEntry& entry : BuiltinEnergyMeters()) {
    if (entry.name == name) return &entry;
    names.push_back(entry.name);
  }
  return absl::NotFoundError(
      absl::StrCat("no energy meter is called '", name, "'", DidYouMean(name, names)));
}

absl::Status Detect(const EnergyMeterEnv& env, Parts* parts, std::vector<std::string>* rejected) {
  for (const EnergyMeterEntry& entry : BuiltinEnergyMeters()) {
    const bool wanted = entry.role == MeterRole::kBeside ||
                        (entry.role == MeterRole::kMain && parts->main == nullptr);
    if (!wanted || entry.name == kRadio) continue;
    absl::StatusOr<std::unique_ptr<EnergyMeter>> meter = entry.make(env);
    if (!meter.ok()) {
      rejected->push_back(Rejection(entry.name, meter.status()));
    } else if (entry.role == MeterRole::kMain) {
      parts->main = *std::move(meter);
    } else {
      parts->beside.push_back(*std::move(meter));
    }
  }
  if (parts->main != nullptr) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("this host has no energy meter: ", absl::StrJoin(*rejected, "; ")));
}

absl::Status TakeNamed(const std::vector<std::string>& names, const EnergyMeterEnv& env,
                       Parts* parts) {
  for (const std::string& name : names) {
    FW_ASSIGN_OR_RETURN(const EnergyMeterEntry* const entry, FindEntry(name));
    absl::StatusOr<std::unique_ptr<EnergyMeter>> meter = entry->make(env);
    if (!meter.ok()) {
      return absl::UnavailableError(Rejection(name, meter.status()));
    }
    if (parts->main == nullptr) {
      parts->main = *std::move(meter);
    } else {
      parts->beside.push_back(*std::move(meter));
    }
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<EnergyMeterEntry>& BuiltinEnergyMeters() {
  static const std::vector<EnergyMeterEntry> entries = [] {
    std::vector<EnergyMeterEntry> all = {
#define FEDWATT_ENERGY_METER(name, rank, role, make) \
  EnergyMeterEntry{name, rank, MeterRole::role, make},
#include "common/energy/builtin.def"
#undef FEDWATT_ENERGY_METER
    };
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.rank < b.rank; });
    return all;
  }();
  return entries;
}

absl::StatusOr<MeterChoice> ChooseEnergyMeter(const std::string& name, const EnergyMeterEnv& env) {
  MeterChoice choice;
  Parts parts;
  const std::vector<std::string> names = absl::StrSplit(name, '+');
  const bool automatic = name == kAuto;
  FW_RETURN_IF_ERROR(automatic ? Detect(env, &parts, &choice.rejected)
                               : TakeNamed(names, env, &parts));
  const bool radio_named = std::find(names.begin(), names.end(), kRadio) != names.end();
  if (env.link.has_value() && !radio_named) {
    absl::StatusOr<std::unique_ptr<EnergyMeter>> radio = MakeRadioMeter(env);
    if (radio.ok()) {
      parts.beside.push_back(*std::move(radio));
    } else {
      choice.rejected.push_back(Rejection(kRadio, radio.status()));
    }
  }
  choice.why =
      absl::StrCat(Described(*parts.main), ": ", automatic ? "the best this host has" : "as asked");
  for (const auto& meter : parts.beside) {
    absl::StrAppend(&choice.why, "; beside it, never added: ", Described(*meter));
  }
  choice.meter = JoinMeters(std::move(parts.main), std::move(parts.beside));
  if (env.start_polling) {
    choice.meter = PollWhileOpen(std::move(choice.meter), env.start_polling);
  }
  return choice;
}

std::vector<MeterFinding> SurveyEnergyMeters(const EnergyMeterEnv& env) {
  std::vector<MeterFinding> findings;
  for (const EnergyMeterEntry& entry : BuiltinEnergyMeters()) {
    MeterFinding finding{.name = entry.name, .role = entry.role};
    const absl::StatusOr<std::unique_ptr<EnergyMeter>> meter = entry.make(env);
    finding.available = meter.ok();
    if (meter.ok()) {
      finding.detail = (*meter)->description();
      finding.quality = (*meter)->quality();
      finding.scope = (*meter)->scope();
    } else {
      finding.detail = std::string(meter.status().message());
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace fedwatt
