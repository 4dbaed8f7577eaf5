#include "common/energy/energy_meter.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/suggest.h"
#include "common/energy/cpu_time_meter.h"
#include "common/energy/rapl_meter.h"

namespace fedwatt {

const std::vector<EnergyMeterEntry>& BuiltinEnergyMeters() {
  static const std::vector<EnergyMeterEntry> entries = {
#define FEDWATT_ENERGY_METER(name, rank, make) EnergyMeterEntry{name, rank, make},
#include "common/energy/builtin.def"
#undef FEDWATT_ENERGY_METER
  };
  return entries;
}

absl::StatusOr<MeterChoice> ChooseEnergyMeter(const std::string& name, const EnergyMeterEnv& env) {
  std::vector<EnergyMeterEntry> entries = BuiltinEnergyMeters();
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.rank < b.rank; });
  MeterChoice choice;
  std::vector<std::string> names = {"auto"};
  for (const EnergyMeterEntry& entry : entries) {
    names.push_back(entry.name);
    if (name != "auto" && name != entry.name) continue;
    auto meter = entry.make(env);
    if (meter.ok()) {
      choice.meter = *std::move(meter);
      choice.why = absl::StrCat(entry.name, " (", EnergyQualityName(choice.meter->quality()), ", ",
                                EnergyScopeName(choice.meter->scope()),
                                "): ", name == "auto" ? "the best this host has" : "as asked");
      return choice;
    }
    choice.rejected.push_back(absl::StrCat(entry.name, ": ", meter.status().message()));
    if (name == entry.name) return meter.status();
  }
  if (name != "auto") {
    return absl::NotFoundError(
        absl::StrCat("no energy meter is called '", name, "'", DidYouMean(name, names)));
  }
  return absl::UnavailableError(
      absl::StrCat("this host has no energy meter: ", absl::StrJoin(choice.rejected, "; ")));
}

}  // namespace fedwatt
