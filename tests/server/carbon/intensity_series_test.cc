#include "server/carbon/intensity_series.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kHour = 3'600'000;

IntensitySeries Hours(std::vector<int> hours) {
  std::vector<IntensityPoint> points;
  for (const int hour : hours) points.push_back({hour * kHour, 100.0 + hour});
  auto series = IntensitySeries::Make(std::move(points), CarbonKind{}, "test", kHour);
  EXPECT_TRUE(series.ok()) << series.status();
  return *std::move(series);
}

std::string Csv(const std::string& rows) {
  return absl::StrCat("# kind: average lifecycle CO2e location\n# source: ours\ntime,g_per_kwh\n",
                      rows);
}

std::string ErrorOf(const std::string& text) {
  return std::string(ParseIntensitySeries(text, "grid.csv", kHour).status().message());
}

TEST(IntensitySeries, AFigureHoldsUntilTheNext) {
  const IntensitySeries series = Hours({0, 1, 2, 3});
  EXPECT_EQ(series.At(0)->g_per_kwh, 100);
  EXPECT_EQ(series.At(kHour - 1)->g_per_kwh, 100);
  EXPECT_EQ(series.At(kHour)->g_per_kwh, 101);
  EXPECT_EQ(series.At(4 * kHour - 1)->g_per_kwh, 103);
  EXPECT_FALSE(series.At(4 * kHour - 1)->stale);
}

TEST(IntensitySeries, BeyondItsEndTheLastFigureIsStale) {
  const auto at = Hours({0, 1, 2, 3}).At(4 * kHour);
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(at->g_per_kwh, 103);
  EXPECT_TRUE(at->stale);
  EXPECT_THAT(at->note, HasSubstr("1970-01-01T03:00:00Z"));
}

TEST(IntensitySeries, AGapIsNoticedAndNotBridgedInSilence) {
  const IntensitySeries series = Hours({0, 1, 2, 5, 6});
  EXPECT_EQ(series.gaps(), 1u);
  EXPECT_FALSE(series.At(3 * kHour - 1)->stale);
  EXPECT_TRUE(series.At(3 * kHour)->stale);
  EXPECT_THAT(series.At(4 * kHour)->note, HasSubstr("gap"));
  EXPECT_FALSE(series.At(5 * kHour)->stale);
}

TEST(IntensitySeries, BeforeItsBeginThereIsNoFigure) {
  const auto at = Hours({5}).At(4 * kHour);
  EXPECT_TRUE(absl::IsUnavailable(at.status()));
  EXPECT_THAT(std::string(at.status().message()), HasSubstr("begins at 1970-01-01T05:00:00Z"));
}

TEST(IntensitySeries, ASinglePointHoldsAsLongAsItIsTold) {
  const IntensitySeries series = Hours({0});
  EXPECT_FALSE(series.At(kHour - 1)->stale);
  EXPECT_TRUE(series.At(kHour)->stale);
}

TEST(IntensitySeries, ReadsCsv) {
  const auto series = ParseIntensitySeries(
      Csv("2026-01-01T00:00:00Z,412.5\n2026-01-01T02:00:00+01:00,300\r\n\n"), "grid.csv", kHour);
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_EQ(series->source(), "ours");
  ASSERT_EQ(series->points().size(), 2u);
  EXPECT_EQ(series->points()[0], (IntensityPoint{1767225600000, 412.5}));
  EXPECT_EQ(series->points()[1], (IntensityPoint{1767225600000 + kHour, 300}));
}

TEST(IntensitySeries, ReadsJson) {
  const auto series = ParseIntensitySeries(
      R"( {"kind": "marginal direct CO2 location", "data": [
            {"time": "2026-01-01T00:00:00Z", "g_per_kwh": 0}]})",
      "grid.json", kHour);
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_EQ(series->kind().signal, CarbonSignal::kMarginal);
  EXPECT_EQ(series->source(), "grid.json");
  EXPECT_EQ(series->points()[0].g_per_kwh, 0);
}

TEST(IntensitySeries, RefusesToGoBackInTime) {
  EXPECT_THAT(ErrorOf(Csv("2026-01-01T01:00:00Z,1\n2026-01-01T00:00:00Z,1\n")),
              HasSubstr("goes back in time: 2026-01-01T00:00:00Z"));
  EXPECT_THAT(ErrorOf(Csv("2026-01-01T01:00:00Z,1\n2026-01-01T01:00:00Z,2\n")),
              HasSubstr("one figure of a time"));
}

TEST(IntensitySeries, RefusesWhatDoesNotSayItsKind) {
  EXPECT_THAT(ErrorOf("time,g_per_kwh\n2026-01-01T00:00:00Z,1\n"),
              AllOf(HasSubstr("grid.csv"), HasSubstr("average or marginal")));
}

TEST(IntensitySeries, NamesTheLineThatIsWrong) {
  EXPECT_THAT(ErrorOf(Csv("2026-01-01T00:00:00Z,1\nyesterday,1\n")),
              AllOf(HasSubstr("grid.csv:5"), HasSubstr("\"yesterday\" is not a time")));
  EXPECT_THAT(ErrorOf(Csv("2026-01-01T00:00:00Z,much\n")), HasSubstr("\"much\" is not a number"));
  EXPECT_THAT(ErrorOf(Csv("2026-01-01T00:00:00Z\n")), HasSubstr("has 1 columns"));
  EXPECT_THAT(ErrorOf(Csv("infinite-future,1\n")), HasSubstr("is not a time"));
  EXPECT_THAT(ErrorOf("time;g\n"), HasSubstr("the first row"));
}

TEST(IntensitySeries, RefusesFiguresThatNoGridHas) {
  for (const char* grams : {"-1", "nan", "inf", "1e9", "0"}) {
    EXPECT_THAT(ErrorOf(Csv(absl::StrCat("2026-01-01T00:00:00Z,", grams, "\n"))),
                AllOf(HasSubstr("2026-01-01T00:00:00Z"), HasSubstr("cannot be")))
        << grams;
  }
}

TEST(IntensitySeries, RefusesNothingAtAll) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("does not say"));
  EXPECT_THAT(ErrorOf(Csv("")), HasSubstr("holds no figure"));
  EXPECT_THAT(ErrorOf("{"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("no list \"data\""));
  EXPECT_THAT(ErrorOf(R"({"kind": 7, "data": []})"), HasSubstr("not a text"));
  EXPECT_THAT(ErrorOf(R"({"data": [{"time": 3}]})"), HasSubstr("data[0]"));
}

TEST(IntensitySeries, RefusesMoreThanAYearOfFiveMinutes) {
  std::vector<IntensityPoint> points;
  for (size_t i = 0; i <= kMaxIntensityPoints; ++i) {
    points.push_back({static_cast<int64_t>(i), 100});
  }
  EXPECT_THAT(std::string(IntensitySeries::Make(points, CarbonKind{}, "x", 1).status().message()),
              HasSubstr("cut it"));
}

}  // namespace
}  // namespace fedwatt
