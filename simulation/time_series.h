#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/carbon/carbon_intensity.h"

// Series over days that others measured or a generator made: grams of a grid, watts of the sun. Of
// their dates only the time of day counts: the first day of a file is the simulation's first, and
// after the last it begins again.
namespace fedwatt {

// The midnight (UTC) at or before a time.
int64_t MidnightOf(int64_t ms);

// Figures in equal steps, each until the next. Immutable.
class TimeSeries {
 public:
  // `first_ms`: of the first figure, since midnight (UTC) of the first day. At least one figure.
  TimeSeries(int64_t first_ms, int64_t step_ms, std::vector<double> values);

  // At so many milliseconds after the first midnight; also negative ones.
  double At(int64_t ms) const { return values_[IndexAt(ms)]; }
  // When the figure of that moment ends.
  int64_t EndOf(int64_t ms) const;
  // The mean over [begin, end); the figure of `begin` where that is empty.
  double MeanOver(int64_t begin_ms, int64_t end_ms) const;
  double Most() const;

  int64_t first_ms() const { return first_ms_; }
  int64_t step_ms() const { return step_ms_; }
  const std::vector<double>& values() const { return values_; }

 private:
  size_t IndexAt(int64_t ms) const;

  int64_t first_ms_;
  int64_t step_ms_;
  std::vector<double> values_;
};

// A grid's grams per kWh, as the coordinator's carbon source `file` reads them (docs/energy.md).
struct CarbonSeries {
  TimeSeries grams;
  CarbonKind kind;
  std::string source;
};

// What the coordinator's parsers refuse, and further, by file and line: a step that differs from
// the first one (a gap), a series that is not of whole days, as it could not begin again. CSV only.
// INVALID_ARGUMENT.
absl::StatusOr<CarbonSeries> LoadCarbonSeries(const std::string& path);
// "time,domain,watts" (server/carbon/surplus_series.h), by domain.
absl::StatusOr<std::map<std::string, TimeSeries>> LoadWattSeries(const std::string& path);

// The same for the coordinator, in the time of the simulation whose first midnight is
// `midnight_ms`, over as many days as its parsers take, `days` at most.
std::string CarbonFileText(const CarbonSeries& series, int64_t midnight_ms, int64_t days);
std::string SurplusFileText(const std::map<std::string, TimeSeries>& series, int64_t midnight_ms,
                            int64_t days);

}  // namespace fedwatt
