#include "server/cli/energy_text.h"

#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fedwatt::cli {
namespace {

using nlohmann::json;

json JoulesJson(const std::optional<int64_t>& microjoules) {
  if (!microjoules.has_value()) return nullptr;
  return static_cast<double>(*microjoules) * 1e-6;
}

double SecondsOf(const EnergySample& sample) {
  return static_cast<double>(sample.duration_us) * 1e-6;
}

std::string Nature(const EnergySample& sample) {
  return absl::StrCat(EnergyQualityName(sample.quality), ", ", EnergyScopeName(sample.scope));
}

}  // namespace

std::string JoulesText(int64_t microjoules) {
  const double joules = static_cast<double>(microjoules) * 1e-6;
  if (joules >= 1e6) return absl::StrFormat("%.3g MJ", joules * 1e-6);
  if (joules >= 1e3) return absl::StrFormat("%.3g kJ", joules * 1e-3);
  if (joules >= 1 || microjoules == 0) return absl::StrFormat("%.3g J", joules);
  return absl::StrFormat("%.3g mJ", joules * 1e3);
}

double WattsOf(const EnergySample& sample) {
  if (!sample.energy_uj.has_value() || sample.duration_us <= 0 || !(sample.coverage > 0)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  // Of the part that was seen.
  return static_cast<double>(*sample.energy_uj) /
         (static_cast<double>(sample.duration_us) * sample.coverage);
}

json SampleJson(const EnergySample& sample) {
  const double watts = WattsOf(sample);
  json out = {{"source", sample.source},
              {"quality", EnergyQualityName(sample.quality)},
              {"scope", EnergyScopeName(sample.scope)},
              {"energy_j", JoulesJson(sample.energy_uj)},
              {"sigma_j", JoulesJson(sample.sigma_uj)},
              {"machine_energy_j", JoulesJson(sample.machine_energy_uj)},
              {"seconds", SecondsOf(sample)},
              {"watts", std::isnan(watts) ? json(nullptr) : json(watts)},
              {"coverage", sample.coverage},
              {"idle_subtracted", sample.idle_subtracted}};
  if (!sample.reason.empty()) out["reason"] = sample.reason;
  for (const EnergySample& other : sample.beside) out["beside"].push_back(SampleJson(other));
  return out;
}

std::string SampleText(const EnergySample& sample) {
  std::string text;
  if (sample.energy_uj.has_value()) {
    text = absl::StrFormat("%s in %.3f s, %.3g W on average", JoulesText(*sample.energy_uj),
                           SecondsOf(sample), WattsOf(sample));
    if (sample.sigma_uj.has_value()) {
      absl::StrAppend(&text, "; sigma ", JoulesText(*sample.sigma_uj));
    }
    absl::StrAppendFormat(&text, "\n  source   %s (%s), coverage %.0f %%, idle energy %s\n",
                          sample.source, Nature(sample), sample.coverage * 100,
                          sample.idle_subtracted ? "subtracted" : "included");
  } else {
    text = absl::StrFormat("energy unavailable, %.3f s\n  source   %s: %s\n", SecondsOf(sample),
                           sample.source, sample.reason);
  }
  if (sample.machine_energy_uj.has_value()) {
    absl::StrAppend(&text, "  machine  ", JoulesText(*sample.machine_energy_uj),
                    ", of which this is the share by CPU time\n");
  }
  for (const EnergySample& other : sample.beside) {
    absl::StrAppend(&text, "  beside   ", other.source, " (", Nature(other), "): ",
                    other.energy_uj.has_value() ? JoulesText(*other.energy_uj) : other.reason,
                    ", never added\n");
  }
  return text;
}

}  // namespace fedwatt::cli
