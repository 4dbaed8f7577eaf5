#include "simulation/compare/plot.h"

#include <gmock/gmock.h>

#include <regex>

#include "absl/strings/str_cat.h"

// Drawings say what they are, show every run, and stay inside their frame.
namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Estimate About(double value) { return {value, ConfidenceInterval{value * 0.9, value * 1.1}, {}}; }

SettingReport Setting(const std::string& name, double joules) {
  SettingReport setting{.variant = {.setting = name}, .runs = 2};
  setting.outcome = {{1, {joules * 0.8, false}}, {2, {joules * 1.2, true}}};
  setting.measures = {{.name = "joules_to_target", .unit = "J", .runs = 2, .mean = About(joules)}};
  for (const double level : {0.5, 0.6, 0.7})
    setting.curve.push_back({level, About(joules * level)});
  return setting;
}

ComparisonReport ReportOf(int settings) {
  ComparisonReport report{.name = "a & b", .code = "c0de", .seeds_name = "all", .seeds = 2};
  report.metric = "accuracy";
  for (int i = 0; i < settings; ++i) {
    report.settings.push_back(Setting(absl::StrCat("setting-", i), 100 + i));
  }
  return report;
}

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

// Heights of the names at the ends of lines.
std::vector<double> LabelHeights(const std::string& svg) {
  std::vector<double> heights;
  const std::regex label("y=\"([0-9.]+)\" class=\"f[0-7]\">setting");
  for (std::sregex_iterator it(svg.begin(), svg.end(), label), end; it != end; ++it) {
    heights.push_back(std::stod((*it)[1]));
  }
  std::sort(heights.begin(), heights.end());
  return heights;
}

TEST(PlotTest, EveryRunIsADotAndACensoredOneIsHollow) {
  const std::string svg = OutcomePlot(ReportOf(3));
  EXPECT_EQ(Count(svg, "<circle class=\"dot\""), 3U);
  EXPECT_EQ(Count(svg, "<circle class=\"cut\""), 3U);
  EXPECT_THAT(svg, HasSubstr("seed 2: more than 120"));
  EXPECT_EQ(Count(svg, "class=\"mean\""), 3U);
}

TEST(PlotTest, BothSayTheyAreSimulatedAndOfWhichCode) {
  for (const std::string& svg : {OutcomePlot(ReportOf(2)), CurvePlot(ReportOf(2))}) {
    EXPECT_THAT(svg, HasSubstr(">Simulated: joules"));
    EXPECT_THAT(svg, HasSubstr("a &amp; b, 2 seeds (all), code c0de"));
    EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
    EXPECT_THAT(svg, Not(HasSubstr("<script")));
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
  }
}

// Twenty lines that end within a few pixels: their names do not lie on each other.
TEST(PlotTest, NamesAtTheEndsOfLinesAreApart) {
  const std::vector<double> heights = LabelHeights(CurvePlot(ReportOf(20)));
  ASSERT_EQ(heights.size(), 20U);
  for (size_t i = 1; i < heights.size(); ++i) EXPECT_GE(heights[i] - heights[i - 1], 15);
  EXPECT_GT(heights.front(), 60);
  EXPECT_LT(heights.back(), 460);
}

TEST(PlotTest, NothingToDrawIsNoCurveAndAnEmptyFrame) {
  ComparisonReport report = ReportOf(2);
  for (SettingReport& setting : report.settings) {
    setting.curve.clear();
    setting.outcome.clear();
    setting.measures.clear();
  }
  EXPECT_EQ(CurvePlot(report), "");
  const std::string svg = OutcomePlot(report);
  EXPECT_EQ(Count(svg, "<circle"), 0U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(OutcomePlot(ComparisonReport{}), Not(HasSubstr("nan")));
}

TEST(PlotTest, FiguresAreShort) {
  EXPECT_EQ(FigureText(1234567.8), "1234568");
  EXPECT_EQ(FigureText(0.82314159), "0.8231");
  EXPECT_EQ(FigureText(0), "0");
  EXPECT_EQ(FigureText(1.5e-5), "1.5e-05");
}

}  // namespace
}  // namespace fedwatt
