#include "server/ledger/energy_sums.h"

#include <limits>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

constexpr int64_t kMsPerHour = 3'600'000;
constexpr int64_t kHoursPerDay = 24;

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

template <typename Int>
void Add(Int from, Int* to) {
  if (__builtin_add_overflow(*to, from, to)) *to = std::numeric_limits<Int>::max();
}

const char* JouleUseName(JouleUse use) { return use == JouleUse::kUseful ? "useful" : "wasted"; }
const char* PartyName(EnergyParty party) {
  return party == EnergyParty::kClients ? "clients" : "coordinator";
}

// The value of an enum that is called `word`; they count from 1 to `last`.
template <typename Enum, typename NameOf>
absl::StatusOr<Enum> ParseWord(const std::string& key, const std::string& word, Enum last,
                               NameOf name_of) {
  std::vector<std::string> words;
  for (int i = 1; i <= static_cast<int>(last); ++i) {
    words.emplace_back(name_of(static_cast<Enum>(i)));
    if (words.back() == word) return static_cast<Enum>(i);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no ", key, " \"", word, "\"", DidYouMean(word, words)));
}

template <typename Enum, typename NameOf>
absl::Status SetWord(const std::string& key, const std::string& word, Enum last, NameOf name_of,
                     std::optional<Enum>* out) {
  const auto parsed = ParseWord(key, word, last, name_of);
  if (parsed.ok()) *out = *parsed;
  return parsed.status();
}

const char* AxisName(EnergyAxis axis) {
  switch (axis) {
    case EnergyAxis::kPhase:
      return "phase";
    case EnergyAxis::kClient:
      return "client";
    case EnergyAxis::kRound:
      return "round";
    case EnergyAxis::kSource:
      return "source";
    case EnergyAxis::kDay:
      return "day";
  }
  return "unknown";
}

EnergyLabel Along(EnergyAxis axis, const EnergyLabel& cell) {
  EnergyLabel label;
  label.party = cell.party;
  label.source = cell.source;
  label.quality = cell.quality;
  label.scope = cell.scope;
  label.use = cell.use;
  label.carbon = cell.carbon;
  switch (axis) {
    case EnergyAxis::kPhase:
      label.phase = cell.phase;
      break;
    case EnergyAxis::kClient:
      label.client = cell.client;
      label.evaluation = cell.evaluation;
      break;
    case EnergyAxis::kRound:
      label.round = cell.round;
      label.evaluation = cell.evaluation;
      break;
    case EnergyAxis::kSource:
      break;
    case EnergyAxis::kDay:
      label.hour = FloorDiv(cell.hour, kHoursPerDay) * kHoursPerDay;
      break;
  }
  return label;
}

}  // namespace

EnergyFigures FiguresOf(const EnergySample& sample, const std::optional<CarbonIntensity>& carbon) {
  EnergyFigures figures;
  figures.samples = 1;
  figures.duration_us = sample.duration_us;
  figures.bytes = sample.bytes;
  if (!sample.energy_uj) {
    figures.unavailable = 1;
    return figures;
  }
  figures.energy_uj = *sample.energy_uj;
  figures.sigma_uj = sample.sigma_uj.value_or(0);
  if (carbon) {
    const Emissions emissions = EmissionsOf(*sample.energy_uj, *carbon);
    figures.micrograms = emissions.micrograms;
    figures.stale_micrograms = emissions.stale_micrograms;
  }
  return figures;
}

void AddFigures(const EnergyFigures& from, EnergyFigures* to) {
  Add(from.energy_uj, &to->energy_uj);
  Add(from.sigma_uj, &to->sigma_uj);
  Add(from.samples, &to->samples);
  Add(from.unavailable, &to->unavailable);
  Add(from.duration_us, &to->duration_us);
  Add(from.bytes, &to->bytes);
  Add(from.micrograms, &to->micrograms);
  Add(from.stale_micrograms, &to->stale_micrograms);
}

int64_t HourOf(int64_t at_ms) { return FloorDiv(at_ms, kMsPerHour); }

absl::StatusOr<EnergyAxis> ParseEnergyAxis(const std::string& word) {
  return ParseWord("axis", word, EnergyAxis::kDay, AxisName);
}

absl::Status EnergyFilter::Add(const std::string& condition) {
  const size_t equals = condition.find('=');
  const std::string key = condition.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : condition.substr(equals + 1);
  if (value.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", condition, "\" is not KEY=VALUE; write e.g. source=rapl"));
  }
  if (key == "phase") return SetWord(key, value, Phase::kEvaluate, PhaseName, &phase);
  if (key == "quality") {
    return SetWord(key, value, EnergyQuality::kUnavailable, EnergyQualityName, &quality);
  }
  if (key == "use") return SetWord(key, value, JouleUse::kWasted, JouleUseName, &use);
  if (key == "party") return SetWord(key, value, EnergyParty::kCoordinator, PartyName, &party);
  if (key == "source") {
    source = value;
  } else if (key == "client") {
    client = value;
  } else if (key == "round") {
    uint64_t number = 0;
    if (!absl::SimpleAtoi(value, &number)) {
      return absl::InvalidArgumentError(absl::StrCat("round = \"", value, "\" is not a number"));
    }
    round = number;
  } else {
    const std::vector<std::string> known = {"phase",  "quality", "use",  "party",
                                            "source", "client",  "round"};
    return absl::InvalidArgumentError(
        absl::StrCat("cannot ask for \"", key, "\"", DidYouMean(key, known)));
  }
  return absl::OkStatus();
}

bool EnergyFilter::Accepts(const EnergyLabel& label) const {
  return label.hour >= since_hour && (!until_hour || label.hour < *until_hour) &&
         (!phase || label.phase == phase) && (!quality || label.quality == *quality) &&
         (!use || label.use == *use) && (!party || label.party == *party) &&
         (!round || label.round == *round) && (source.empty() || label.source == source) &&
         (client.empty() || label.client == client);
}

std::vector<EnergySum> GroupEnergy(const std::vector<EnergySum>& cells, EnergyAxis axis,
                                   const EnergyFilter& filter) {
  std::map<EnergyLabel, EnergyFigures> groups;
  for (const EnergySum& cell : cells) {
    if (filter.Accepts(cell.label)) AddFigures(cell.figures, &groups[Along(axis, cell.label)]);
  }
  std::vector<EnergySum> sums;
  for (auto& [label, figures] : groups) sums.push_back({label, figures});
  return sums;
}

}  // namespace fedwatt
