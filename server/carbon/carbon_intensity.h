#pragma once

// Grams per kilowatt-hour, and what such a figure means. Four words decide whether two figures may
// be compared at all: what the next kWh causes is not what the average one caused, and smokestacks
// alone are not a life cycle. Figures of different kinds are never added; AddEmissions refuses.
//
// Pure values and functions, thread-safe.

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace fedwatt {

enum class CarbonSignal { kAverage = 1, kMarginal };
enum class CarbonBoundary { kLifecycle = 1, kDirect };
enum class CarbonGas { kCo2 = 1, kCo2e };
enum class CarbonAccounting { kLocation = 1, kMarket };

struct CarbonKind {
  CarbonSignal signal = CarbonSignal::kAverage;
  CarbonBoundary boundary = CarbonBoundary::kLifecycle;
  CarbonGas gas = CarbonGas::kCo2e;
  CarbonAccounting accounting = CarbonAccounting::kLocation;

  bool operator==(const CarbonKind&) const = default;
};

// "average lifecycle CO2e location".
std::string CarbonKindText(const CarbonKind& kind);

// The reverse; the four words in any order. INVALID_ARGUMENT names the one that is unknown, double
// or missing.
absl::StatusOr<CarbonKind> ParseCarbonKind(const std::string& text);

struct CarbonIntensity {
  double g_per_kwh = 0;
  CarbonKind kind;
  std::string source;   // "table: DE, Ember 2023", "electricity_maps: DE"
  int64_t time_ms = 0;  // from when on the figure holds
  bool stale = false;   // held beyond its time; `note` says why
  std::string note;
};

// No grid is above: burning lignite in an old plant gives about 1,300 g, a marginal oil peaker less
// than 2,000. A figure beyond is in another unit.
inline constexpr double kMaxGramsPerKwh = 3000;

// INVALID_ARGUMENT for what no grid does: negative, not a number, above kMaxGramsPerKwh, or zero
// over a life cycle (no source of electricity has that; a lying meter does).
absl::Status CheckIntensity(double g_per_kwh, const CarbonKind& kind);

struct Emissions {
  CarbonKind kind;
  int64_t micrograms = 0;
  int64_t stale_micrograms = 0;  // of these: by figures that were stale
};

// Saturates. `energy_uj` must not be negative.
Emissions EmissionsOf(int64_t energy_uj, const CarbonIntensity& intensity);

// FAILED_PRECONDITION names both kinds when they differ. Saturates.
absl::StatusOr<Emissions> AddEmissions(const Emissions& a, const Emissions& b);

}  // namespace fedwatt
