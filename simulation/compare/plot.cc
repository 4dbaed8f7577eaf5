#include "simulation/compare/plot.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fedwatt {
namespace {

constexpr double kWidth = 760;
constexpr double kRight = 24;
constexpr double kTop = 80;
constexpr double kBottom = 52;
constexpr double kApart = 16;    // of two labels
constexpr double kLetter = 7.3;  // width of a label's, about

// Okabe and Ito's colours (2008), which all eyes tell apart, a little lighter on dark pages; with
// the dashes there are 24 different lines.
constexpr char kStyle[] = R"css(<style>
.cmp { --ink: #1b1f24; --soft: #57606a; --rule: #d5d9de; --page: #ffffff;
  --c0: #0072b2; --c1: #d55e00; --c2: #00795a; --c3: #a4478c; --c4: #b07d00; --c5: #3a8fc4;
  --c6: #6b6f76; --c7: #1b1f24; font: 13px system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
@media (prefers-color-scheme: dark) { .cmp { --ink: #e7eaee; --soft: #a3acb7; --rule: #3a424c;
  --page: #14171b; --c0: #56b4e9; --c1: #f58a3c; --c2: #3fca9f; --c3: #e39ad0; --c4: #f0c33c;
  --c5: #9bd0f5; --c6: #a3acb7; --c7: #e7eaee; } }
.cmp .page { fill: var(--page); } .cmp text { fill: var(--ink); }
.cmp .soft { fill: var(--soft); font-size: 12px; } .cmp .title { font-size: 16px; font-weight: 600; }
.cmp .end { text-anchor: end; } .cmp .middle { text-anchor: middle; }
.cmp .rule { stroke: var(--rule); } .cmp .axis { stroke: var(--soft); }
.cmp .dot { fill: var(--c0); fill-opacity: 0.45; stroke: none; }
.cmp .cut { fill: none; stroke: var(--c1); stroke-width: 1.5; }
.cmp .mean { stroke: var(--ink); stroke-width: 2.5; fill: none; }
.cmp .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
.cmp .band { stroke: none; fill-opacity: 0.11; }
.cmp .lead { fill: none; stroke: var(--soft); stroke-width: 0.8; }
.cmp .s0 { stroke: var(--c0); } .cmp .s1 { stroke: var(--c1); } .cmp .s2 { stroke: var(--c2); }
.cmp .s3 { stroke: var(--c3); } .cmp .s4 { stroke: var(--c4); } .cmp .s5 { stroke: var(--c5); }
.cmp .s6 { stroke: var(--c6); } .cmp .s7 { stroke: var(--c7); }
.cmp .f0 { fill: var(--c0); } .cmp .f1 { fill: var(--c1); } .cmp .f2 { fill: var(--c2); }
.cmp .f3 { fill: var(--c3); } .cmp .f4 { fill: var(--c4); } .cmp .f5 { fill: var(--c5); }
.cmp .f6 { fill: var(--c6); } .cmp .f7 { fill: var(--c7); }
</style>
)css";

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c == '&'   ? "&amp;"
           : c == '<' ? "&lt;"
           : c == '>' ? "&gt;"
           : c == '"' ? "&quot;"
                      : std::string(1, c);
  }
  return out;
}

std::string Text(double x, double y, const std::string& style, const std::string& text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, style,
                         Escaped(text));
}

std::string Open(double height, const std::string& title, const std::string& runs,
                 const std::string& key) {
  return absl::StrCat(
      absl::StrFormat("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cmp\" viewBox=\"0 0 %g "
                      "%g\" width=\"%g\" height=\"%g\" role=\"img\" aria-label=\"%s\">\n",
                      kWidth, height, kWidth, height, Escaped(title)),
      kStyle,
      absl::StrFormat("<rect class=\"page\" width=\"%g\" height=\"%g\"/>\n", kWidth, height),
      Text(16, 26, "title", title), Text(16, 45, "soft", runs), Text(16, 62, "soft", key));
}

// A straight axis: from the values [low, high] to the pixels [from, to].
struct Axis {
  double low = 0;
  double high = 1;
  double from = 0;
  double to = 1;

  double At(double value) const { return from + (value - low) / (high - low) * (to - from); }

  // Makes room, and gives a row of equal values some width.
  void Widen() {
    const double room = high > low ? (high - low) * 0.04 : std::max(std::abs(high), 1.0) * 0.1;
    low = low >= 0 ? std::max(0.0, low - room) : low - room;
    high += room;
  }

  // About `wanted` multiples of 1, 2 or 5 x 10^k.
  std::vector<double> Ticks(int wanted) const {
    const double raw = (high - low) / wanted;
    const double power = std::pow(10, std::floor(std::log10(raw)));
    double step = 10 * power;
    for (const double nice : {5.0, 2.0, 1.0}) {
      if (raw <= nice * power) step = nice * power;
    }
    std::vector<double> ticks;
    for (double k = std::ceil(low / step); k * step <= high && ticks.size() < 50; ++k) {
      ticks.push_back(k * step + 0.0);
    }
    return ticks;
  }
};

// "joules_to_target", "J" is "joules to target in J".
std::string NameOf(const std::string& measure, const std::string& unit) {
  std::string name = measure;
  std::replace(name.begin(), name.end(), '_', ' ');
  return unit.empty() ? name : absl::StrCat(name, " in ", unit);
}

std::string RunsText(const ComparisonReport& report) {
  return absl::StrCat(report.name, ", ", report.seeds, " seeds (", report.seeds_name, "), code ",
                      report.code);
}

Axis OutcomeAxis(const ComparisonReport& report, double from) {
  Axis axis{.low = INFINITY, .high = -INFINITY, .from = from, .to = kWidth - kRight};
  for (const SettingReport& setting : report.settings) {
    for (const auto& [seed, run] : setting.outcome) {
      axis.low = std::min(axis.low, run.value);
      axis.high = std::max(axis.high, run.value);
    }
  }
  if (axis.low > axis.high) axis.low = axis.high = 0;
  axis.Widen();
  return axis;
}

// Runs lie side by side in the order of their seeds, so that the same seed is at the same height.
std::string OutcomeRow(const ComparisonReport& report, const SettingReport& setting,
                       const Axis& axis, double y) {
  constexpr double kHalf = 11;
  std::string out;
  const size_t count = setting.outcome.size();
  for (size_t i = 0; i < count; ++i) {
    const auto& [seed, run] = setting.outcome[i];
    const double place =
        count < 2 ? 0 : 2.0 * static_cast<double>(i) / static_cast<double>(count - 1) - 1;
    const std::string tip =
        absl::StrCat("seed ", seed, ": ", run.censored ? "more than " : "", FigureText(run.value));
    absl::StrAppendFormat(&out,
                          "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"><title>%s"
                          "</title></circle>\n",
                          run.censored ? "cut" : "dot", axis.At(run.value), y + place * kHalf, tip);
  }
  const MeasureReport* const measure = setting.Find(report.outcome.measure);
  if (measure == nullptr || !measure->mean.has_value()) return out;
  const Estimate& mean = *measure->mean;
  const double x = axis.At(mean.value);
  absl::StrAppendFormat(&out, "<path class=\"mean\" d=\"M%.1f %.1fv%.1f", x, y - kHalf - 2,
                        2 * kHalf + 4);
  if (mean.interval.has_value()) {
    const double low = axis.At(mean.interval->low);
    const double high = axis.At(mean.interval->high);
    absl::StrAppendFormat(&out, "M%.1f %.1fv10m0 -5H%.1fm0 -5v10", low, y - 5, high);
  }
  return out + "\"/>\n";
}

double LabelWidth(const ComparisonReport& report) {
  size_t longest = 8;
  for (const SettingReport& setting : report.settings) {
    longest = std::max(longest, setting.variant.setting.size());
  }
  return static_cast<double>(longest) * kLetter;
}

// Names at the ends of lines, moved apart where they would lie on each other.
struct Label {
  std::string name;
  size_t style = 0;
  double x = 0;
  double line_y = 0;
  double y = 0;
};

void SpreadLabels(double bottom, std::vector<Label>* labels) {
  std::sort(labels->begin(), labels->end(), [](const Label& a, const Label& b) {
    return std::pair(a.line_y, a.style) < std::pair(b.line_y, b.style);
  });
  double least = kTop;
  for (Label& label : *labels) {
    label.y = std::max(label.line_y, least);
    least = label.y + kApart;
  }
  double most = bottom;
  for (auto label = labels->rbegin(); label != labels->rend(); ++label) {
    label->y = std::min(label->y, most);
    most = label->y - kApart;
  }
}

std::string Dash(size_t style) {
  constexpr const char* kDashes[] = {"", " stroke-dasharray=\"7 4\"", " stroke-dasharray=\"2 3\""};
  return kDashes[style / 8 % 3];
}

std::string CurveLine(const std::vector<CurvePoint>& curve, size_t style, const Axis& x,
                      const Axis& y) {
  std::string line;
  std::string upper;
  std::string lower;
  for (const CurvePoint& point : curve) {
    const char* const begin = line.empty() ? "M" : "L";
    absl::StrAppendFormat(&line, "%s%.1f %.1f", begin, x.At(point.level), y.At(point.joules.value));
    if (!point.joules.interval.has_value()) continue;
    absl::StrAppendFormat(&upper, "%s%.1f %.1f", upper.empty() ? "M" : "L", x.At(point.level),
                          y.At(point.joules.interval->high));
    lower =
        absl::StrFormat("L%.1f %.1f", x.At(point.level), y.At(point.joules.interval->low)) + lower;
  }
  std::string out;
  if (!upper.empty()) {
    out = absl::StrFormat("<path class=\"band f%d\" d=\"%s%sz\"/>\n", style % 8, upper, lower);
  }
  return out +
         absl::StrFormat("<path class=\"line s%d\"%s d=\"%s\"/>\n", style % 8, Dash(style), line);
}

struct CurveAxes {
  Axis x;
  Axis y;
};

CurveAxes AxesOf(const ComparisonReport& report, double height) {
  CurveAxes axes{.x = {INFINITY, -INFINITY, 76, kWidth - kRight - LabelWidth(report) - 18},
                 .y = {0, 0, height - kBottom, kTop}};
  for (const SettingReport& setting : report.settings) {
    for (const CurvePoint& point : setting.curve) {
      axes.x.low = std::min(axes.x.low, point.level);
      axes.x.high = std::max(axes.x.high, point.level);
      const auto& interval = point.joules.interval;
      axes.y.high =
          std::max(axes.y.high, interval.has_value() ? interval->high : point.joules.value);
    }
  }
  if (axes.y.high <= 0) axes.y.high = 1;
  axes.y.high *= 1.04;
  return axes;
}

std::string CurveGrid(const ComparisonReport& report, const CurveAxes& axes, double height) {
  std::string out;
  for (const double tick : axes.y.Ticks(6)) {
    absl::StrAppendFormat(&out, "<path class=\"rule\" d=\"M%.1f %.1fH%.1f\"/>", axes.x.from,
                          axes.y.At(tick), axes.x.to);
    out += Text(axes.x.from - 8, axes.y.At(tick) + 4, "soft end", FigureText(tick) + " J");
  }
  for (const double tick : axes.x.Ticks(8)) {
    out += Text(axes.x.At(tick), height - kBottom + 18, "soft middle", absl::StrFormat("%g", tick));
  }
  absl::StrAppendFormat(&out, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", axes.x.from,
                        height - kBottom, axes.x.to);
  return out + Text((axes.x.from + axes.x.to) / 2, height - 12, "soft middle",
                    absl::StrCat(report.metric, ", mean of ", report.window, " evaluations"));
}

}  // namespace

std::string FigureText(double value) {
  const double size = std::abs(value);
  if (size >= 1000 && size < 1e9) return absl::StrFormat("%.0f", value);
  return absl::StrFormat("%.4g", value);
}

std::string OutcomePlot(const ComparisonReport& report) {
  constexpr double kRow = 40;
  const double height = kTop + kRow * static_cast<double>(report.settings.size()) + kBottom;
  const double left = 24 + LabelWidth(report);
  const Axis axis = OutcomeAxis(report, left + 8);
  std::string unit;
  for (const SettingReport& setting : report.settings) {
    const MeasureReport* const measure = setting.Find(report.outcome.measure);
    if (measure != nullptr) unit = measure->unit;
  }
  const std::string name = NameOf(report.outcome.measure, unit);
  std::string out =
      Open(height, absl::StrCat("Simulated: ", name), RunsText(report),
           "a dot is a run (hollow: censored, more than this), the bars its mean and 95 %");
  const double base = height - kBottom;
  for (const double tick : axis.Ticks(9)) {
    absl::StrAppendFormat(&out, "<path class=\"rule\" d=\"M%.1f %.1fV%.1f\"/>", axis.At(tick), kTop,
                          base);
    out += Text(axis.At(tick), base + 18, "soft middle", FigureText(tick));
  }
  absl::StrAppendFormat(&out, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", axis.from, base,
                        axis.to);
  out += Text((axis.from + axis.to) / 2, height - 12, "soft middle", name);
  double y = kTop + kRow / 2;
  for (const SettingReport& setting : report.settings) {
    out += Text(left, y + 4, "end", setting.variant.setting) + OutcomeRow(report, setting, axis, y);
    y += kRow;
  }
  return out + "</svg>\n";
}

std::string CurvePlot(const ComparisonReport& report) {
  // High enough for all names.
  const double height =
      std::max(460.0, kTop + kBottom + kApart * static_cast<double>(report.settings.size()));
  const bool empty = std::all_of(report.settings.begin(), report.settings.end(),
                                 [](const SettingReport& one) { return one.curve.empty(); });
  if (empty) return "";
  const CurveAxes axes = AxesOf(report, height);
  std::string out = Open(
      height, absl::StrCat("Simulated: joules spent until a mean ", report.metric, " is reached"),
      RunsText(report), "mean of the runs and its 95 %; a line ends where a run got no further");
  out += CurveGrid(report, axes, height);
  std::vector<Label> labels;
  for (size_t i = 0; i < report.settings.size(); ++i) {
    const std::vector<CurvePoint>& curve = report.settings[i].curve;
    if (curve.empty()) continue;
    out += CurveLine(curve, i, axes.x, axes.y);
    const double y = axes.y.At(curve.back().joules.value);
    labels.push_back({report.settings[i].variant.setting, i, axes.x.At(curve.back().level), y, y});
  }
  SpreadLabels(height - kBottom, &labels);
  const double left = kWidth - kRight - LabelWidth(report);
  for (const Label& label : labels) {
    absl::StrAppendFormat(&out, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>", label.x + 3,
                          label.line_y, left - 4, label.y);
    out += Text(left, label.y + 4, absl::StrCat("f", label.style % 8), label.name);
  }
  return out + "</svg>\n";
}

}  // namespace fedwatt
