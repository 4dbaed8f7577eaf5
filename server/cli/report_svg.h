#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

// Drawings as inline SVG, without a script or anything from outside. Colours and dashes are classes
// of the page's style sheet: l0..l3 lines, f0..f3 and fw (wasted) areas. A drawing fills its
// parent's width; it has a title and a description for those who hear it. Values that are not
// finite are left out. Pure functions.
namespace fedwatt::cli {

// For element content and attribute values: & < > " ' become entities, control characters "?".
std::string EscapeMarkup(const std::string& text);

struct ChartText {
  std::string id;  // unique in the page; letters, digits, -
  std::string title;
  std::string description;
};

using ValueText = std::function<std::string(double)>;

// Multiples of 1, 2 or 5 x 10^k that lie in [low, high], about `wanted` of them; at least 1 apart
// with `whole`.
std::vector<double> NiceTicks(double low, double high, int wanted, bool whole);

struct Line {
  std::string style;                              // "l0"
  std::vector<std::pair<double, double>> points;  // by x
};

struct LineChart {
  ChartText text;
  std::string x_name;
  ValueText y_text;
  bool from_zero = false;
  std::vector<Line> lines;
};
std::string Draw(const LineChart& chart);

struct Column {
  double from = 0, to = 0;  // on the x axis
  double value = 0;
  double wasted = 0;  // stands on top of `value`
  std::string tip;
};

struct ColumnChart {
  ChartText text;
  std::string x_name;
  ValueText x_text;
  ValueText y_text;
  bool whole_x = false;
  bool whole_y = false;
  std::string style = "f0";
  std::vector<Column> columns;
};
std::string Draw(const ColumnChart& chart);

struct Bar {
  std::string label;
  double value = 0;
  double wasted = 0;
  std::string value_text;
  std::string style = "f0";
};

// Bars with their labels above them; as long as their values.
struct BarChart {
  ChartText text;
  std::vector<Bar> bars;
};
std::string Draw(const BarChart& chart);

}  // namespace fedwatt::cli
