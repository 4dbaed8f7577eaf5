#pragma once

// The ledger's sums: what was spent, by everything that a question may ask for. Cells whose source,
// quality, scope or party differ are never added, however coarse the question (law 6); neither are
// grams of different kinds. Pure functions, thread-safe.

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/energy/energy_sample.h"
#include "server/carbon/carbon_intensity.h"
#include "server/ledger/energy_ledger.h"

namespace fedwatt {

enum class EnergyParty { kClients = 1, kCoordinator };

// What one cell is the sum of. Of a grouped cell the labels that were not asked for are blank.
struct EnergyLabel {
  EnergyParty party = EnergyParty::kClients;
  std::string source;
  EnergyQuality quality = EnergyQuality::kUnavailable;
  EnergyScope scope = EnergyScope::kProcess;
  JouleUse use = JouleUse::kUseful;
  std::string carbon;  // kind of the grams (CarbonKindText); empty: no figure for them
  uint64_t round = 0;
  bool evaluation = false;
  std::optional<Phase> phase;
  int64_t hour = 0;    // since the Unix epoch, in UTC; of the report
  std::string client;  // pseudonym; empty: all, forgotten, or the coordinator

  auto operator<=>(const EnergyLabel&) const = default;
};

struct EnergyFigures {
  int64_t energy_uj = 0;
  int64_t sigma_uj = 0;  // the sum of the samples': an upper bound, for one meter's errors agree
  uint64_t samples = 0;
  uint64_t unavailable = 0;  // of these: without a figure
  int64_t duration_us = 0;
  uint64_t bytes = 0;
  int64_t micrograms = 0;
  int64_t stale_micrograms = 0;  // of these: by stale figures

  bool operator==(const EnergyFigures&) const = default;
};

struct EnergySum {
  EnergyLabel label;
  EnergyFigures figures;

  bool operator==(const EnergySum&) const = default;
};

// Of one booked sample.
EnergyFigures FiguresOf(const EnergySample& sample, const std::optional<CarbonIntensity>& carbon);

// Saturates.
void AddFigures(const EnergyFigures& from, EnergyFigures* to);

// Hours since the epoch, rounded down.
int64_t HourOf(int64_t at_ms);

enum class EnergyAxis { kPhase = 1, kClient, kRound, kSource, kDay };
// "phase", ...; INVALID_ARGUMENT names the nearest.
absl::StatusOr<EnergyAxis> ParseEnergyAxis(const std::string& word);

// Conditions on cells; what is empty does not restrict.
struct EnergyFilter {
  int64_t since_hour = 0;
  std::optional<int64_t> until_hour;  // excluded
  std::optional<Phase> phase;
  std::optional<EnergyQuality> quality;
  std::optional<JouleUse> use;
  std::optional<EnergyParty> party;
  std::optional<uint64_t> round;
  std::string source;
  std::string client;

  // "source=rapl", "phase=train", "quality=measured", "use=wasted", "party=coordinator",
  // "round=3", "client=<pseudonym>". INVALID_ARGUMENT names the keys, or the words of this one.
  absl::Status Add(const std::string& condition);
  bool Accepts(const EnergyLabel& label) const;
};

// The cells that `filter` accepts, added up along `axis`, sorted by label. By day cells carry the
// day's first hour; by round and by client training and evaluations are apart.
std::vector<EnergySum> GroupEnergy(const std::vector<EnergySum>& cells, EnergyAxis axis,
                                   const EnergyFilter& filter);

}  // namespace fedwatt
