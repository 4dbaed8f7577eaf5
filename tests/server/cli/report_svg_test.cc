#include "server/cli/report_svg.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string Plain(double value) { return absl::StrCat(value); }

TEST(Ticks, AreRoundNumbersWithinTheRange) {
  EXPECT_THAT(NiceTicks(0, 10, 5, false), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(NiceTicks(0.6, 10.4, 5, true), ElementsAre(2, 4, 6, 8, 10));
  EXPECT_THAT(NiceTicks(0, 2, 5, true), ElementsAre(0, 1, 2)) << "no half rounds";
  EXPECT_THAT(NiceTicks(-1, 1, 2, false), ElementsAre(-1, 0, 1));
  EXPECT_THAT(NiceTicks(1, 1, 4, false), IsEmpty());
  EXPECT_THAT(NiceTicks(0, kNan, 4, false), IsEmpty());
  EXPECT_LE(NiceTicks(0, std::numeric_limits<double>::max(), 4, false).size(), 6u);
}

TEST(Escape, CoversElementsAndAttributes) {
  EXPECT_EQ(EscapeMarkup("<a b='c' d=\"e\">&\n"), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;?");
}

TEST(LineChart, RunsFromTheLeftEdgeToTheRightAndHasATitle) {
  const std::string svg = Draw(LineChart{.text = {"a", "T & t", "D"},
                                         .x_name = "round",
                                         .y_text = Plain,
                                         .lines = {{"l0", {{1, 0}, {3, 10}}}}});
  EXPECT_THAT(svg, HasSubstr("d=\"M62.0 190.0L408.0 12.0\""));
  EXPECT_THAT(svg, HasSubstr("<title id=\"a-t\">T &amp; t</title>"));
  EXPECT_THAT(svg, HasSubstr("aria-labelledby=\"a-t a-d\""));
}

TEST(LineChart, LeavesOutWhatIsNoNumber) {
  const std::string svg = Draw(LineChart{
      .text = {"a", "", ""}, .y_text = Plain, .lines = {{"l0", {{1, 0}, {2, kNan}, {3, 10}}}}});
  EXPECT_THAT(svg, HasSubstr("d=\"M62.0 190.0L408.0 12.0\""));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(LineChart, OfOnePointOrNoneHasAScale) {
  for (const Line& line : {Line{"l0", {{1, 5}}}, Line{"l0", {}}}) {
    const std::string svg =
        Draw(LineChart{.text = {"a", "", ""}, .y_text = Plain, .lines = {line}});
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, HasSubstr("class=\"ytick\""));
  }
}

TEST(ColumnChart, PutsWastedOnTop) {
  const std::string svg =
      Draw(ColumnChart{.text = {"a", "", ""},
                       .x_text = Plain,
                       .y_text = Plain,
                       .columns = {{.from = 0, .to = 1, .value = 3, .wasted = 1, .tip = "<tip>"}}});
  EXPECT_THAT(svg, HasSubstr("class=\"f0\" d=\"M62.0 56.5h346.0v133.5h-346.0z\""));
  EXPECT_THAT(svg, HasSubstr("class=\"fw\" d=\"M62.0 12.0h346.0v44.5h-346.0z\""));
  EXPECT_THAT(svg, HasSubstr("<title>&lt;tip&gt;</title>"));
}

TEST(ColumnChart, OfManyColumnsHasOnePathAndNoTips) {
  ColumnChart chart{.text = {"a", "", ""}, .x_text = Plain, .y_text = Plain};
  for (int i = 0; i < 1000; ++i) {
    chart.columns.push_back({.from = i - 0.4, .to = i + 0.4, .value = 1, .tip = "tip"});
  }
  const std::string svg = Draw(chart);
  EXPECT_THAT(svg, Not(HasSubstr("tip")));
  EXPECT_LT(svg.size(), 60'000u);
}

TEST(BarChart, IsAsLongAsItsValue) {
  const std::string svg =
      Draw(BarChart{.text = {"a", "", ""},
                    .bars = {{.label = "x", .value = 4}, {.label = "y", .value = 1, .wasted = 1}}});
  EXPECT_THAT(svg, HasSubstr("class=\"f0\" d=\"M0.0 21.0h416.0v12.0h-416.0z\""));
  EXPECT_THAT(svg, HasSubstr("class=\"fw\" d=\"M104.0 61.0h104.0v12.0h-104.0z\""));
}

TEST(BarChart, OfNothingIsEmptyAndNotBroken) {
  EXPECT_THAT(Draw(BarChart{.text = {"a", "", ""}, .bars = {{.label = "x", .value = 0}}}),
              Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace fedwatt::cli
