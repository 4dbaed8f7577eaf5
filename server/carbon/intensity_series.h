#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/carbon/carbon_intensity.h"

// Carbon intensity over time, from a file, a service or a cache of one.
namespace fedwatt {

struct IntensityPoint {
  int64_t time_ms = 0;
  double g_per_kwh = 0;

  bool operator==(const IntensityPoint&) const = default;
};

// A year in steps of five minutes.
inline constexpr size_t kMaxIntensityPoints = 110'000;

// Points ascend in time; each holds until the next one, but not longer than the usual step between
// points (their median distance). What lies beyond is a gap: the last figure still comes, flagged
// stale. Immutable, thread-safe.
class IntensitySeries {
 public:
  // INVALID_ARGUMENT names the point that goes back in time, or that no grid can have. `hold_ms`:
  // how long a single point holds, where there is no step to learn it from.
  static absl::StatusOr<IntensitySeries> Make(std::vector<IntensityPoint> points, CarbonKind kind,
                                              std::string source, int64_t hold_ms);

  // UNAVAILABLE before the first point, saying when that is.
  absl::StatusOr<CarbonIntensity> At(int64_t now_ms) const;

  const std::vector<IntensityPoint>& points() const { return points_; }
  const CarbonKind& kind() const { return kind_; }
  const std::string& source() const { return source_; }
  int64_t hold_ms() const { return hold_ms_; }
  // Places where two neighbours are further apart than a point holds.
  size_t gaps() const { return gaps_; }

 private:
  IntensitySeries() = default;

  std::vector<IntensityPoint> points_;
  CarbonKind kind_;
  std::string source_;
  int64_t hold_ms_ = 0;
  size_t gaps_ = 0;
};

// "2026-01-31T10:00:00Z" or with an offset, as both services write it. INVALID_ARGUMENT shows how.
absl::StatusOr<int64_t> ParseIsoTime(const std::string& text);

// A series as CSV or JSON, told apart by the first character that is not blank. `name` leads the
// errors, which also give the line or the index.
//
//   # kind: average lifecycle CO2e location        {"kind": "average lifecycle CO2e location",
//   # source: our supplier's hourly report          "source": "our supplier's hourly report",
//   time,g_per_kwh                                  "data": [{"time": "2026-01-01T00:00:00Z",
//   2026-01-01T00:00:00Z,412.5                                "g_per_kwh": 412.5}]}
//
// The kind is required, for a figure that does not say whether it is average or marginal is
// neither.
absl::StatusOr<IntensitySeries> ParseIntensitySeries(const std::string& text,
                                                     const std::string& name, int64_t hold_ms);

}  // namespace fedwatt
