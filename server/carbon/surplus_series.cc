#include "server/carbon/surplus_series.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/x509.h"
#include "server/carbon/intensity_series.h"

namespace fedwatt {
namespace {

constexpr char kTitle[] = "time,domain,watts";
constexpr int64_t kMsPerHour = 3'600'000;
constexpr double kMostWatts = 1e12;
constexpr size_t kMostDomains = 1000;
constexpr size_t kMostPoints = 500'000;

struct Row {
  int64_t time_ms = 0;
  std::string domain;
  double watts = 0;
};

absl::StatusOr<Row> ReadRow(const std::string& line) {
  const std::vector<std::string> cells = absl::StrSplit(line, ',');
  if (cells.size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", cells.size(), " columns, not the three of \"", kTitle, "\""));
  }
  Row row;
  FW_ASSIGN_OR_RETURN(row.time_ms, ParseIsoTime(std::string(absl::StripAsciiWhitespace(cells[0]))));
  row.domain = std::string(absl::StripAsciiWhitespace(cells[1]));
  if (row.domain.empty() || row.domain.size() > bounds::kMaxNameLength) {
    return absl::InvalidArgumentError(absl::StrCat("names a domain of ", row.domain.size(),
                                                   " bytes; legal are 1 to ",
                                                   bounds::kMaxNameLength));
  }
  if (!absl::SimpleAtod(cells[2], &row.watts) || !(row.watts >= 0 && row.watts <= kMostWatts)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", cells[2], "\" is not 0 to ", kMostWatts, " watts"));
  }
  return row;
}

int64_t UsualStep(const std::vector<int64_t>& times_ms) {
  if (times_ms.size() < 2) return kMsPerHour;
  std::vector<int64_t> steps;
  for (size_t i = 1; i < times_ms.size(); ++i) steps.push_back(times_ms[i] - times_ms[i - 1]);
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  return *middle;
}

}  // namespace

absl::StatusOr<SurplusSeries> SurplusSeries::Parse(const std::string& text,
                                                   const std::string& name) {
  SurplusSeries series;
  bool titled = false;
  size_t number = 0;
  size_t points = 0;
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++number;
    const std::string line(absl::StripAsciiWhitespace(raw));
    if (line.empty() || line[0] == '#') continue;
    const auto wrong = [&](const std::string& what) {
      return absl::InvalidArgumentError(absl::StrCat(name, ":", number, ": ", what));
    };
    if (!titled) {
      if (line != kTitle) {
        return wrong(absl::StrCat("the first row is \"", line, "\", not \"", kTitle, "\""));
      }
      titled = true;
      continue;
    }
    const auto row = ReadRow(line);
    if (!row.ok()) return Annotate(row.status(), absl::StrCat(name, ":", number));
    std::vector<Point>& known = series.domains_[row->domain].points;
    if (!known.empty() && row->time_ms <= known.back().time_ms) {
      return wrong(absl::StrCat("goes back in time: ", UtcTime(row->time_ms), " comes after ",
                                UtcTime(known.back().time_ms), " of domain \"", row->domain, "\""));
    }
    known.push_back({row->time_ms, row->watts});
    if (++points > kMostPoints || series.domains_.size() > kMostDomains) {
      return wrong(absl::StrCat("more than ", kMostPoints, " figures or ", kMostDomains,
                                " domains; cut what is past"));
    }
  }
  if (points == 0) return absl::InvalidArgumentError(absl::StrCat(name, " holds no figure"));
  for (auto& [domain, known] : series.domains_) {
    std::vector<int64_t> times_ms;
    for (const Point& point : known.points) times_ms.push_back(point.time_ms);
    known.hold_ms = UsualStep(times_ms);
  }
  return series;
}

std::map<std::string, double> SurplusSeries::At(int64_t now_ms) const {
  std::map<std::string, double> watts;
  for (const auto& [name, domain] : domains_) {
    const auto next =
        std::upper_bound(domain.points.begin(), domain.points.end(), now_ms,
                         [](int64_t at, const Point& point) { return at < point.time_ms; });
    if (next == domain.points.begin()) continue;
    const Point& point = *std::prev(next);
    if (now_ms - point.time_ms < domain.hold_ms) watts[name] = point.watts;
  }
  return watts;
}

}  // namespace fedwatt
