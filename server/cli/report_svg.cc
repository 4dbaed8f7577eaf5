#include "server/cli/report_svg.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/cli/report_words.h"

namespace fedwatt::cli {
namespace {

// Small enough that the letters stay readable where a phone shrinks the drawing.
constexpr double kWidth = 420;
constexpr double kHeight = 230;
constexpr double kLeft = 62;
constexpr double kRight = 12;
constexpr double kTop = 12;
constexpr double kBottom = 40;
constexpr size_t kMostMarked = 60;  // points with a dot, columns with a tip of their own

struct Range {
  double low = 0;
  double high = 1;

  void Take(double value) {
    if (!std::isfinite(value)) return;
    low = empty ? value : std::min(low, value);
    high = empty ? value : std::max(high, value);
    empty = false;
  }
  // A line of equal values, or one point, still needs some height.
  void Widen() {
    if (empty) *this = {0, 1, false};
    if (high > low) return;
    const double by = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= by;
    high += by;
  }
  bool empty = true;
};

double X(const Range& range, double x) {
  return kLeft + (x - range.low) / (range.high - range.low) * (kWidth - kLeft - kRight);
}

double Y(const Range& range, double y) {
  return kHeight - kBottom -
         (y - range.low) / (range.high - range.low) * (kHeight - kTop - kBottom);
}

std::string Open(const ChartText& text, double height) {
  return absl::StrFormat(
      "<svg class=\"chart\" viewBox=\"0 0 %g %g\" role=\"img\" aria-labelledby=\"%s-t %s-d\">"
      "<title id=\"%s-t\">%s</title><desc id=\"%s-d\">%s</desc>\n",
      kWidth, height, text.id, text.id, text.id, EscapeMarkup(text.title), text.id,
      EscapeMarkup(text.description));
}

std::string YAxis(const Range& y, const ValueText& y_text, bool whole) {
  std::string out;
  for (const double tick : NiceTicks(y.low, y.high, 4, whole)) {
    const double at = Y(y, tick);
    absl::StrAppendFormat(&out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", kLeft, at,
                          kWidth - kRight);
    absl::StrAppendFormat(&out, "<text class=\"ytick\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                          kLeft - 6, at + 4, EscapeMarkup(y_text(tick)));
  }
  return out;
}

std::string XAxis(const Range& x, const ValueText& x_text, bool whole, const std::string& name) {
  const double base = kHeight - kBottom;
  std::string out = absl::StrFormat("<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", kLeft, base,
                                    kWidth - kRight);
  for (const double tick : NiceTicks(x.low, x.high, 5, whole)) {
    absl::StrAppendFormat(&out, "<text class=\"xtick\" x=\"%.1f\" y=\"%.1f\">%s</text>", X(x, tick),
                          base + 15, EscapeMarkup(x_text(tick)));
  }
  absl::StrAppendFormat(&out, "<text class=\"xname\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                        (kLeft + kWidth - kRight) / 2, kHeight - 6, EscapeMarkup(name));
  return out;
}

std::string Path(const Line& line, const Range& x, const Range& y) {
  std::string path;
  std::string dots;
  for (const auto& [px, py] : line.points) {
    if (!std::isfinite(px) || !std::isfinite(py)) continue;
    absl::StrAppendFormat(&path, "%s%.1f %.1f", path.empty() ? "M" : "L", X(x, px), Y(y, py));
    if (line.points.size() > kMostMarked) continue;
    absl::StrAppendFormat(&dots, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>", X(x, px), Y(y, py));
  }
  return absl::StrFormat("<path class=\"line %s\" d=\"%s\"/><g class=\"dot %s\">%s</g>\n",
                         line.style, path, line.style, dots);
}

std::string Box(double x, double y, double width, double height) {
  return absl::StrFormat("M%.1f %.1fh%.1fv%.1fh%.1fz", x, y, width, height, -width);
}

// Every column of one colour is one path, so that a thousand of them stay small.
std::string Columns(const ColumnChart& chart, const Range& x, const Range& y) {
  const bool tips = chart.columns.size() <= kMostMarked;
  std::string values;
  std::string wasted;
  std::string covers;
  for (const Column& column : chart.columns) {
    if (!std::isfinite(column.value) || !std::isfinite(column.wasted)) continue;
    const double left = X(x, column.from);
    const double width = std::max(X(x, column.to) - left, 0.5);
    const double middle = Y(y, column.value);
    const double top = Y(y, column.value + column.wasted);
    if (column.value > 0) values += Box(left, middle, width, Y(y, 0) - middle);
    if (column.wasted > 0) wasted += Box(left, top, width, middle - top);
    if (!tips) continue;
    absl::StrAppendFormat(&covers,
                          "<rect class=\"cover\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                          "height=\"%.1f\"><title>%s</title></rect>\n",
                          left, kTop, width, kHeight - kTop - kBottom, EscapeMarkup(column.tip));
  }
  return absl::StrCat("<path class=\"", chart.style, "\" d=\"", values, "\"/>\n",
                      wasted.empty() ? "" : "<path class=\"fw\" d=\"" + wasted + "\"/>\n", covers);
}

}  // namespace

std::string EscapeMarkup(const std::string& text) {
  std::string out;
  for (const char c : Harmless(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::vector<double> NiceTicks(double low, double high, int wanted, bool whole) {
  if (!std::isfinite(low) || !std::isfinite(high) || high <= low || wanted < 1) return {};
  const double raw = (high - low) / wanted;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double nice : {1.0, 2.0, 5.0}) {
    if (raw <= nice * power) {
      step = nice * power;
      break;
    }
  }
  if (whole) step = std::max(step, 1.0);
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-9);
  const double last = std::floor(high / step + 1e-9);
  for (double k = first; k <= last && ticks.size() < 100; ++k) ticks.push_back(k * step + 0.0);
  return ticks;
}

std::string Draw(const LineChart& chart) {
  Range x;
  Range y;
  if (chart.from_zero) y.Take(0);
  for (const Line& line : chart.lines) {
    for (const auto& [px, py] : line.points) {
      x.Take(px);
      y.Take(py);
    }
  }
  x.Widen();
  y.Widen();
  std::string out = Open(chart.text, kHeight);
  const auto count = [](double value) { return absl::StrFormat("%g", value); };
  absl::StrAppend(&out, YAxis(y, chart.y_text, false), XAxis(x, count, true, chart.x_name));
  for (const Line& line : chart.lines) out += Path(line, x, y);
  return out + "</svg>\n";
}

std::string Draw(const ColumnChart& chart) {
  Range x;
  Range y;
  y.Take(0);
  for (const Column& column : chart.columns) {
    x.Take(column.from);
    x.Take(column.to);
    y.Take(column.value + column.wasted);
  }
  x.Widen();
  if (y.high <= 0) y.high = 1;
  std::string out = Open(chart.text, kHeight);
  absl::StrAppend(&out, YAxis(y, chart.y_text, chart.whole_y), Columns(chart, x, y),
                  XAxis(x, chart.x_text, chart.whole_x, chart.x_name));
  return out + "</svg>\n";
}

std::string Draw(const BarChart& chart) {
  constexpr double kRow = 40;
  double most = 0;
  for (const Bar& bar : chart.bars) {
    if (std::isfinite(bar.value + bar.wasted)) most = std::max(most, bar.value + bar.wasted);
  }
  const double scale = most > 0 ? (kWidth - 4) / most : 0;
  std::string out = Open(chart.text, kRow * static_cast<double>(chart.bars.size()) + 4);
  double top = 0;
  for (const Bar& bar : chart.bars) {
    absl::StrAppendFormat(&out,
                          "<text class=\"name\" x=\"0\" y=\"%.1f\">%s</text>"
                          "<text class=\"value\" x=\"%g\" y=\"%.1f\">%s</text>",
                          top + 15, EscapeMarkup(bar.label), kWidth - 4, top + 15,
                          EscapeMarkup(bar.value_text));
    if (std::isfinite(bar.value + bar.wasted)) {
      const double width = bar.value * scale;
      absl::StrAppend(&out, "<path class=\"track\" d=\"", Box(0, top + 21, kWidth - 4, 12),
                      "\"/><path class=\"", bar.style, "\" d=\"", Box(0, top + 21, width, 12),
                      "\"/><path class=\"fw\" d=\"", Box(width, top + 21, bar.wasted * scale, 12),
                      "\"/>\n");
    }
    top += kRow;
  }
  return out + "</svg>\n";
}

}  // namespace fedwatt::cli
