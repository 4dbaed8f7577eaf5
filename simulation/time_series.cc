#include "simulation/time_series.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "server/carbon/intensity_series.h"
#include "server/carbon/surplus_series.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxFileBytes = 16 * 1024 * 1024;
constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;
// Of all domains together, well below what the coordinator takes.
constexpr int64_t kMostSurplusPoints = 400'000;

int64_t FloorTo(int64_t value, int64_t unit) {
  return value / unit * unit - (value % unit < 0 ? unit : 0);
}

std::string Hours(int64_t ms) {
  return absl::StrFormat("%g h", static_cast<double>(ms) / static_cast<double>(kHourMs));
}

struct Column {
  std::vector<int64_t> times_ms;
  std::vector<double> values;
};

// Rows that a parser of the coordinator has taken: time first, figure last, between them a name or
// nothing.
class RowReader {
 public:
  explicit RowReader(const std::string& source) : source_(source) {}

  absl::Status Add(size_t number, const std::string& line) {
    const std::vector<std::string> cells = absl::StrSplit(line, ',');
    std::string name(cells.size() > 2 ? absl::StripAsciiWhitespace(cells[1]) : "");
    FW_ASSIGN_OR_RETURN(const int64_t time_ms,
                        ParseIsoTime(std::string(absl::StripAsciiWhitespace(cells.front()))));
    double value = 0;
    (void)absl::SimpleAtod(cells.back(), &value);
    Column& column = columns_[std::move(name)];
    std::vector<int64_t>& times = column.times_ms;
    if (times.size() > 1) {
      const int64_t usual_ms = times[1] - times[0];
      const int64_t step_ms = time_ms - times.back();
      if (step_ms != usual_ms) {
        return absl::InvalidArgumentError(
            absl::StrCat(source_, ":", number, ": ", step_ms > usual_ms ? "a gap: " : "",
                         Hours(step_ms), " after the figure before it, where the first two are ",
                         Hours(usual_ms), " apart; write figures in equal steps"));
      }
    }
    times.push_back(time_ms);
    column.values.push_back(value);
    return absl::OkStatus();
  }

  absl::StatusOr<std::map<std::string, TimeSeries>> Finish() const {
    int64_t begin_ms = INT64_MAX;
    for (const auto& [name, column] : columns_) begin_ms = std::min(begin_ms, column.times_ms[0]);
    const int64_t midnight_ms = FloorTo(begin_ms, kDayMs);
    std::map<std::string, TimeSeries> series;
    for (const auto& [name, column] : columns_) {
      const size_t count = column.times_ms.size();
      const int64_t step_ms = count > 1 ? column.times_ms[1] - column.times_ms[0] : kDayMs;
      const int64_t span_ms = step_ms * static_cast<int64_t>(count);
      if (span_ms % kDayMs != 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            source_, ": ", name, name.empty() ? "" : ": ", count, " figures in steps of ",
            Hours(step_ms), " are ", Hours(span_ms),
            ", not whole days; the series begins again after its end, at the same time of day"));
      }
      series.emplace(name, TimeSeries(column.times_ms[0] - midnight_ms, step_ms, column.values));
    }
    return series;
  }

 private:
  const std::string source_;
  std::map<std::string, Column> columns_;
};

absl::StatusOr<std::map<std::string, TimeSeries>> ReadRows(const std::string& text,
                                                           const std::string& path) {
  RowReader reader(path);
  bool titled = false;
  size_t number = 0;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (const std::string& raw : lines) {
    ++number;
    const std::string line(absl::StripAsciiWhitespace(raw));
    if (line.empty() || line[0] == '#') continue;
    if (std::exchange(titled, true)) FW_RETURN_IF_ERROR(reader.Add(number, line));
  }
  return reader.Finish();
}

std::string IsoTime(int64_t ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

// Rows of one series over the days, from its first figure on or before the first midnight.
template <typename Row>
void EachRow(const TimeSeries& series, int64_t midnight_ms, int64_t days, const Row& row) {
  const int64_t begin_ms = series.EndOf(0) - series.step_ms();
  for (int64_t at_ms = begin_ms; at_ms < days * kDayMs; at_ms += series.step_ms()) {
    row(IsoTime(midnight_ms + at_ms), series.At(at_ms));
  }
}

}  // namespace

int64_t MidnightOf(int64_t ms) { return FloorTo(ms, kDayMs); }

TimeSeries::TimeSeries(int64_t first_ms, int64_t step_ms, std::vector<double> values)
    : first_ms_(first_ms), step_ms_(step_ms), values_(std::move(values)) {}

size_t TimeSeries::IndexAt(int64_t ms) const {
  const auto count = static_cast<int64_t>(values_.size());
  const int64_t steps = FloorTo(ms - first_ms_, step_ms_) / step_ms_ % count;
  return static_cast<size_t>(steps < 0 ? steps + count : steps);
}

int64_t TimeSeries::EndOf(int64_t ms) const {
  return first_ms_ + FloorTo(ms - first_ms_, step_ms_) + step_ms_;
}

double TimeSeries::MeanOver(int64_t begin_ms, int64_t end_ms) const {
  if (end_ms <= begin_ms) return At(begin_ms);
  double sum = 0;
  for (int64_t at_ms = begin_ms; at_ms < end_ms;) {
    const int64_t until_ms = std::min(end_ms, EndOf(at_ms));
    sum += At(at_ms) * static_cast<double>(until_ms - at_ms);
    at_ms = until_ms;
  }
  return sum / static_cast<double>(end_ms - begin_ms);
}

double TimeSeries::Most() const { return *std::max_element(values_.begin(), values_.end()); }

absl::StatusOr<CarbonSeries> LoadCarbonSeries(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  FW_ASSIGN_OR_RETURN(const IntensitySeries checked, ParseIntensitySeries(text, path, kHourMs));
  if (!text.empty() && absl::StripAsciiWhitespace(text)[0] == '{') {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": a simulation reads series as CSV (docs/energy.md)"));
  }
  FW_ASSIGN_OR_RETURN(auto rows, ReadRows(text, path));
  return CarbonSeries{std::move(rows.begin()->second), checked.kind(), checked.source()};
}

absl::StatusOr<std::map<std::string, TimeSeries>> LoadWattSeries(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  FW_RETURN_IF_ERROR(SurplusSeries::Parse(text, path).status());
  return ReadRows(text, path);
}

std::string CarbonFileText(const CarbonSeries& series, int64_t midnight_ms, int64_t days) {
  const auto most = static_cast<int64_t>(kMaxIntensityPoints - 2);
  const int64_t possible = std::max<int64_t>(1, most * series.grams.step_ms() / kDayMs);
  std::string text = absl::StrCat("# kind: ", CarbonKindText(series.kind),
                                  "\n# source: ", series.source, "\ntime,g_per_kwh\n");
  EachRow(series.grams, midnight_ms, std::min(days, possible),
          [&text](const std::string& time, double value) {
            absl::StrAppendFormat(&text, "%s,%.17g\n", time, value);
          });
  return text;
}

std::string SurplusFileText(const std::map<std::string, TimeSeries>& series, int64_t midnight_ms,
                            int64_t days) {
  std::string text = "time,domain,watts\n";
  for (const auto& [name, one] : series) {
    const int64_t most = kMostSurplusPoints / static_cast<int64_t>(series.size());
    const int64_t possible = std::max<int64_t>(1, most * one.step_ms() / kDayMs);
    EachRow(one, midnight_ms, std::min(days, possible),
            [&text, domain = &name](const std::string& time, double value) {
              absl::StrAppendFormat(&text, "%s,%s,%.17g\n", time, *domain, value);
            });
  }
  return text;
}

}  // namespace fedwatt
