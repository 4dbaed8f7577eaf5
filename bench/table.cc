#include "bench/table.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fedwatt::bench {
namespace {

// Three significant digits, of all but tiny values in plain notation: 2.17e-05, 0.0123, 1.23, 123,
// 12300.
std::string Digits(double value) {
  const double size = std::abs(value);
  if (size >= 100 || size == 0) return absl::StrFormat("%.0f", value);
  if (size >= 10) return absl::StrFormat("%.1f", value);
  if (size >= 1) return absl::StrFormat("%.2f", value);
  if (size >= 0.1) return absl::StrFormat("%.3f", value);
  if (size >= 0.01) return absl::StrFormat("%.4f", value);
  if (size >= 0.001) return absl::StrFormat("%.5f", value);
  return absl::StrFormat("%.2e", value);
}

std::string WithUnit(double value, const std::string& unit) {
  return unit.empty() ? Digits(value) : absl::StrCat(Digits(value), " ", unit);
}

// Near one the digits behind it are what matters.
std::string RatioText(double ratio) {
  return std::abs(ratio - 1) < 0.1 ? absl::StrFormat("%.3fx", ratio)
                                   : absl::StrCat(Digits(ratio), "x");
}

std::string TargetText(const Target& target, const std::string& unit) {
  switch (target.kind) {
    case Target::Kind::kValueAtMost:
      return absl::StrCat("<= ", WithUnit(target.limit, unit));
    case Target::Kind::kValueAtLeast:
      return absl::StrCat(">= ", WithUnit(target.limit, unit));
    case Target::Kind::kRatioAtMost:
      return absl::StrFormat("<= %gx", target.limit);
    case Target::Kind::kRatioAtLeast:
      return absl::StrFormat(">= %gx", target.limit);
    case Target::Kind::kRatioWithin:
      return absl::StrFormat("1x +- %g %%", 100 * target.limit);
  }
  return "";
}

}  // namespace

std::optional<double> Figure::Ratio() const {
  if (!floor.has_value() || *floor <= 0) return std::nullopt;
  return value / *floor;
}

std::optional<bool> Figure::Reached() const {
  if (!target.has_value()) return std::nullopt;
  const double limit = target->limit;
  if (target->kind == Target::Kind::kValueAtMost) return value <= limit;
  if (target->kind == Target::Kind::kValueAtLeast) return value >= limit;
  const std::optional<double> ratio = Ratio();
  if (!ratio.has_value()) return std::nullopt;
  if (target->kind == Target::Kind::kRatioAtMost) return *ratio <= limit;
  if (target->kind == Target::Kind::kRatioAtLeast) return *ratio >= limit;
  return std::abs(*ratio - 1) <= limit;
}

int Table::CountShort() const {
  return static_cast<int>(std::count_if(figures_.begin(), figures_.end(), [](const Figure& figure) {
    return !figure.Reached().value_or(true);
  }));
}

std::string Table::ToText() const {
  std::string out = absl::StrFormat("%-44s %14s   %14s %-22s %8s   %s\n", "figure", "measured",
                                    "bare floor", "", "ratio", "target");
  std::string group;
  for (const Figure& figure : figures_) {
    if (figure.group != group) {
      group = figure.group;
      absl::StrAppend(&out, "\n", group, "\n");
    }
    const std::string value = WithUnit(figure.value, figure.unit);
    std::string floor, ratio, target;
    if (figure.floor.has_value()) {
      floor = WithUnit(*figure.floor, figure.unit);
      ratio = RatioText(figure.Ratio().value_or(0));
    }
    if (figure.target.has_value()) {
      target = absl::StrCat(TargetText(*figure.target, figure.unit), "  ",
                            figure.Reached().value_or(false) ? "ok" : "SHORT");
    }
    std::string line = absl::StrFormat("  %-42s %14s   %14s %-22s %8s   %s", figure.name, value,
                                       floor, figure.floor_name, ratio, target);
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, line, "\n");
  }
  if (!notes_.empty()) absl::StrAppend(&out, "\n");
  for (const std::string& note : notes_) absl::StrAppend(&out, note, "\n");
  return out;
}

std::string Table::ToJson() const {
  nlohmann::ordered_json figures = nlohmann::ordered_json::array();
  for (const Figure& figure : figures_) {
    nlohmann::ordered_json entry = {{"group", figure.group},
                                    {"name", figure.name},
                                    {"value", figure.value},
                                    {"unit", figure.unit}};
    if (figure.floor.has_value()) {
      entry["floor"] = *figure.floor;
      entry["floor_name"] = figure.floor_name;
      entry["ratio"] = figure.Ratio().value_or(0);
    }
    if (figure.target.has_value()) {
      entry["target"] = TargetText(*figure.target, figure.unit);
      entry["reached"] = figure.Reached().value_or(false);
    }
    figures.push_back(std::move(entry));
  }
  return nlohmann::ordered_json{{"figures", figures}, {"notes", notes_}}.dump(2) + "\n";
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace fedwatt::bench
