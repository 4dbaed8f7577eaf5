#include "server/carbon/intensity_series.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/x509.h"
#include "nlohmann/json.hpp"

namespace fedwatt {
namespace {

using Json = nlohmann::json;

int64_t MedianStep(const std::vector<IntensityPoint>& points, int64_t fallback_ms) {
  if (points.size() < 2) return fallback_ms;
  std::vector<int64_t> steps;
  for (size_t i = 1; i < points.size(); ++i) {
    steps.push_back(points[i].time_ms - points[i - 1].time_ms);
  }
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  return *middle;
}

struct Head {
  std::string kind;
  std::string source;
};

absl::StatusOr<IntensitySeries> Finish(std::vector<IntensityPoint> points, const Head& head,
                                       const std::string& name, int64_t hold_ms) {
  const auto kind = ParseCarbonKind(head.kind);
  if (!kind.ok()) return Annotate(kind.status(), name);
  auto series = IntensitySeries::Make(std::move(points), *kind,
                                      head.source.empty() ? name : head.source, hold_ms);
  if (!series.ok()) return Annotate(series.status(), name);
  return series;
}

void ReadCsvRemark(const std::string& line, Head* head) {
  const std::vector<std::string> parts = absl::StrSplit(line.substr(1), absl::MaxSplits(':', 1));
  if (parts.size() != 2) return;
  const std::string key(absl::StripAsciiWhitespace(parts[0]));
  const std::string value(absl::StripAsciiWhitespace(parts[1]));
  if (key == "kind") head->kind = value;
  if (key == "source") head->source = value;
}

absl::StatusOr<IntensityPoint> ReadCsvRow(const std::string& line) {
  const std::vector<std::string> cells = absl::StrSplit(line, ',');
  IntensityPoint point;
  if (cells.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", cells.size(), " columns, not the two of \"time,g_per_kwh\""));
  }
  FW_ASSIGN_OR_RETURN(point.time_ms,
                      ParseIsoTime(std::string(absl::StripAsciiWhitespace(cells[0]))));
  if (!absl::SimpleAtod(cells[1], &point.g_per_kwh)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", cells[1], "\" is not a number of g/kWh"));
  }
  return point;
}

absl::StatusOr<IntensitySeries> ParseCsv(const std::string& text, const std::string& name,
                                         int64_t hold_ms) {
  Head head;
  std::vector<IntensityPoint> points;
  bool titled = false;
  size_t number = 0;
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++number;
    const std::string line(absl::StripAsciiWhitespace(raw));
    if (line.empty()) continue;
    if (line[0] == '#') {
      ReadCsvRemark(line, &head);
    } else if (!titled) {
      if (line != "time,g_per_kwh") {
        return absl::InvalidArgumentError(absl::StrCat(name, ":", number, ": the first row is \"",
                                                       line, "\", not \"time,g_per_kwh\""));
      }
      titled = true;
    } else {
      const auto point = ReadCsvRow(line);
      if (!point.ok()) return Annotate(point.status(), absl::StrCat(name, ":", number));
      points.push_back(*point);
      if (points.size() > kMaxIntensityPoints) break;
    }
  }
  return Finish(std::move(points), head, name, hold_ms);
}

absl::StatusOr<IntensitySeries> ParseJson(const std::string& text, const std::string& name,
                                          int64_t hold_ms) {
  const Json json = Json::parse(text, nullptr, false);
  const auto wrong = [&name](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", what));
  };
  if (json.is_discarded() || !json.is_object()) return wrong("is not a JSON object");
  Head head;
  for (const auto& [key, to] : {std::pair("kind", &head.kind), {"source", &head.source}}) {
    if (!json.contains(key)) continue;
    if (!json[key].is_string()) return wrong(absl::StrCat("\"", key, "\" is not a text"));
    *to = json[key].get<std::string>();
  }
  if (!json.contains("data") || !json["data"].is_array()) return wrong("has no list \"data\"");
  std::vector<IntensityPoint> points;
  for (const Json& item : json["data"]) {
    const std::string where = absl::StrCat("data[", points.size(), "]");
    if (!item.is_object() || !item.contains("time") || !item["time"].is_string() ||
        !item.contains("g_per_kwh") || !item["g_per_kwh"].is_number()) {
      return wrong(
          absl::StrCat(where, R"( is not {"time": "2026-01-01T00:00:00Z", "g_per_kwh": 1})"));
    }
    const auto time_ms = ParseIsoTime(item["time"].get<std::string>());
    if (!time_ms.ok()) return Annotate(time_ms.status(), absl::StrCat(name, ": ", where));
    points.push_back({*time_ms, item["g_per_kwh"].get<double>()});
    if (points.size() > kMaxIntensityPoints) break;
  }
  return Finish(std::move(points), head, name, hold_ms);
}

}  // namespace

absl::StatusOr<IntensitySeries> IntensitySeries::Make(std::vector<IntensityPoint> points,
                                                      CarbonKind kind, std::string source,
                                                      int64_t hold_ms) {
  if (points.empty()) return absl::InvalidArgumentError("holds no figure");
  if (points.size() > kMaxIntensityPoints) {
    return absl::InvalidArgumentError(
        absl::StrCat("holds more than ", kMaxIntensityPoints, " figures; cut it to a year"));
  }
  for (size_t i = 0; i < points.size(); ++i) {
    const absl::Status sound = CheckIntensity(points[i].g_per_kwh, kind);
    if (!sound.ok()) {
      return Annotate(sound, absl::StrCat("the figure of ", UtcTime(points[i].time_ms)));
    }
    if (i > 0 && points[i].time_ms <= points[i - 1].time_ms) {
      return absl::InvalidArgumentError(
          absl::StrCat("goes back in time: ", UtcTime(points[i].time_ms), " comes after ",
                       UtcTime(points[i - 1].time_ms), "; sort it and keep one figure of a time"));
    }
  }
  IntensitySeries series;
  series.hold_ms_ = MedianStep(points, hold_ms);
  for (size_t i = 1; i < points.size(); ++i) {
    if (points[i].time_ms - points[i - 1].time_ms > series.hold_ms_) ++series.gaps_;
  }
  series.points_ = std::move(points);
  series.kind_ = kind;
  series.source_ = std::move(source);
  return series;
}

absl::StatusOr<CarbonIntensity> IntensitySeries::At(int64_t now_ms) const {
  const auto next =
      std::upper_bound(points_.begin(), points_.end(), now_ms,
                       [](int64_t at, const IntensityPoint& point) { return at < point.time_ms; });
  if (next == points_.begin()) {
    return absl::UnavailableError(absl::StrCat(
        source_, " begins at ", UtcTime(points_.front().time_ms), ", after ", UtcTime(now_ms)));
  }
  const IntensityPoint& point = *std::prev(next);
  CarbonIntensity intensity{point.g_per_kwh, kind_, source_, point.time_ms, false, ""};
  if (now_ms - point.time_ms >= hold_ms_) {
    intensity.stale = true;
    intensity.note =
        absl::StrCat(next == points_.end() ? "the last figure is of " : "a gap: no figure since ",
                     UtcTime(point.time_ms));
  }
  return intensity;
}

absl::StatusOr<int64_t> ParseIsoTime(const std::string& text) {
  absl::Time time;
  std::string error;
  if (text.empty() || absl::StartsWith(text, "infinite") ||
      !absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a time; write e.g. 2026-01-31T10:00:00Z"));
  }
  return absl::ToUnixMillis(time);
}

absl::StatusOr<IntensitySeries> ParseIntensitySeries(const std::string& text,
                                                     const std::string& name, int64_t hold_ms) {
  const std::string body(absl::StripLeadingAsciiWhitespace(text));
  if (!body.empty() && body[0] == '{') return ParseJson(body, name, hold_ms);
  return ParseCsv(text, name, hold_ms);
}

}  // namespace fedwatt
