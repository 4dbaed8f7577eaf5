#include "simulation/availability_trace.h"

#include <cmath>
#include <unordered_map>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxTraceBytes = uint64_t{1} << 30;
constexpr double kMostSeconds = 1e10;

absl::StatusOr<Interval> ReadInterval(const std::vector<std::string>& fields,
                                      const std::string& place) {
  double begin_s = 0;
  double end_s = 0;
  if (!absl::SimpleAtod(fields[1], &begin_s) || !absl::SimpleAtod(fields[2], &end_s)) {
    return absl::InvalidArgumentError(absl::StrCat(place, "\"", fields[1], "\" and \"", fields[2],
                                                   "\" must be seconds, as numbers"));
  }
  if (!(begin_s >= 0 && end_s > begin_s && end_s <= kMostSeconds)) {
    return absl::InvalidArgumentError(absl::StrCat(place, "from ", fields[1], " to ", fields[2],
                                                   " s: an interval begins at 0 or later and ends "
                                                   "after it begins"));
  }
  return Interval{std::llround(begin_s * 1000), std::llround(end_s * 1000)};
}

}  // namespace

absl::StatusOr<std::vector<std::vector<Interval>>> ParseAvailabilityTrace(
    const std::string& text, const std::string& source) {
  std::vector<std::vector<Interval>> traces;
  std::unordered_map<std::string, size_t> index;
  size_t number = 0;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (const std::string& line : lines) {
    ++number;
    const std::string trimmed(absl::StripAsciiWhitespace(line));
    if (trimmed.empty() || trimmed[0] == '#') continue;
    const std::string place = absl::StrCat(source, ":", number, ": ");
    const std::vector<std::string> fields = absl::StrSplit(trimmed, ',');
    if (fields.size() != 3) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, fields.size(), " fields; a line is device,begin_s,end_s"));
    }
    if (traces.empty() && fields[1] == "begin_s") continue;
    FW_ASSIGN_OR_RETURN(const Interval interval, ReadInterval(fields, place));
    const auto [known, is_new] = index.emplace(fields[0], traces.size());
    if (is_new) traces.emplace_back();
    std::vector<Interval>& trace = traces[known->second];
    if (!trace.empty() && interval.begin_ms < trace.back().end_ms) {
      return absl::InvalidArgumentError(absl::StrCat(
          place, "device ", fields[0], " goes back in time: this interval begins at ", fields[1],
          " s, the one before ends at ", static_cast<double>(trace.back().end_ms) / 1000, " s"));
    }
    trace.push_back(interval);
  }
  if (traces.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": no interval in it"));
  }
  return traces;
}

absl::StatusOr<std::vector<std::vector<Interval>>> LoadAvailabilityTrace(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTraceBytes));
  return ParseAvailabilityTrace(text, path);
}

}  // namespace fedwatt
