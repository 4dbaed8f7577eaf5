#include "server/carbon/carbon_intensity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace fedwatt {
namespace {

constexpr double kMicrojoulesPerKwh = 3.6e12;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

struct Word {
  const char* text;
  int part;  // of the four
  int value;
};

constexpr Word kWords[] = {
    {"average", 0, 1}, {"marginal", 0, 2}, {"lifecycle", 1, 1}, {"direct", 1, 2},
    {"CO2", 2, 1},     {"CO2e", 2, 2},     {"location", 3, 1},  {"market", 3, 2},
};
constexpr const char* kParts[] = {"average or marginal", "lifecycle or direct", "CO2 or CO2e",
                                  "location or market"};

const char* WordOf(int part, int value) {
  for (const Word& word : kWords) {
    if (word.part == part && word.value == value) return word.text;
  }
  return "unknown";
}

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? kMost : sum;
}

}  // namespace

std::string CarbonKindText(const CarbonKind& kind) {
  return absl::StrCat(WordOf(0, static_cast<int>(kind.signal)), " ",
                      WordOf(1, static_cast<int>(kind.boundary)), " ",
                      WordOf(2, static_cast<int>(kind.gas)), " ",
                      WordOf(3, static_cast<int>(kind.accounting)));
}

absl::StatusOr<CarbonKind> ParseCarbonKind(const std::string& text) {
  int values[4] = {};
  const std::vector<std::string> given = absl::StrSplit(text, ' ', absl::SkipEmpty());
  for (const std::string& one : given) {
    const auto* word = std::find_if(std::begin(kWords), std::end(kWords),
                                    [&one](const Word& known) { return known.text == one; });
    if (word == std::end(kWords)) {
      return absl::InvalidArgumentError(
          absl::StrCat("kind \"", text, "\": \"", one, "\" is not one of average, marginal, ",
                       "lifecycle, direct, CO2, CO2e, location, market"));
    }
    if (values[word->part] != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("kind \"", text, "\" says twice whether it is ", kParts[word->part]));
    }
    values[word->part] = word->value;
  }
  for (int part = 0; part < 4; ++part) {
    if (values[part] != 0) continue;
    return absl::InvalidArgumentError(absl::StrCat("kind \"", text,
                                                   "\" does not say whether it is ", kParts[part],
                                                   "; write e.g. average lifecycle CO2e location"));
  }
  return CarbonKind{static_cast<CarbonSignal>(values[0]), static_cast<CarbonBoundary>(values[1]),
                    static_cast<CarbonGas>(values[2]), static_cast<CarbonAccounting>(values[3])};
}

absl::Status CheckIntensity(double g_per_kwh, const CarbonKind& kind) {
  if (!(g_per_kwh >= 0 && g_per_kwh <= kMaxGramsPerKwh)) {  // also NaN
    return absl::InvalidArgumentError(absl::StrCat(g_per_kwh, " g/kWh cannot be: it must be 0 to ",
                                                   kMaxGramsPerKwh, "; is it in another unit?"));
  }
  if (g_per_kwh == 0 && kind.boundary == CarbonBoundary::kLifecycle) {
    return absl::InvalidArgumentError(
        "0 g/kWh cannot be over a life cycle: wind has about 11, so this is a missing figure");
  }
  return absl::OkStatus();
}

Emissions EmissionsOf(int64_t energy_uj, const CarbonIntensity& intensity) {
  const double micrograms =
      static_cast<double>(energy_uj) * intensity.g_per_kwh * 1e6 / kMicrojoulesPerKwh;
  // 2^63 itself is a double; every double below it fits.
  const int64_t rounded = micrograms < 0x1p63 ? std::llround(micrograms) : kMost;
  return {intensity.kind, rounded, intensity.stale ? rounded : 0};
}

absl::StatusOr<Emissions> AddEmissions(const Emissions& a, const Emissions& b) {
  if (a.kind != b.kind) {
    return absl::FailedPreconditionError(absl::StrCat("grams that are ", CarbonKindText(a.kind),
                                                      " are not added to grams that are ",
                                                      CarbonKindText(b.kind), "; keep two sums"));
  }
  return Emissions{a.kind, SaturatingAdd(a.micrograms, b.micrograms),
                   SaturatingAdd(a.stale_micrograms, b.stale_micrograms)};
}

}  // namespace fedwatt
