#include "simulation/time_series.h"

#include <gmock/gmock.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/file.h"
#include "server/carbon/intensity_series.h"
#include "server/carbon/surplus_series.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;
// 2026-01-05, 0 h UTC.
constexpr int64_t kMidnightMs = 20'458 * kDayMs;
constexpr char kHead[] = "# kind: average lifecycle CO2e location\n# source: us\ntime,g_per_kwh\n";

class TimeSeriesTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = dir_.File("series.csv");
    EXPECT_TRUE(WriteFileAtomic(path, text).ok());
    return path;
  }
  std::string CarbonError(const std::string& rows) {
    return std::string(LoadCarbonSeries(Write(absl::StrCat(kHead, rows))).status().message());
  }
  // A figure for each hour of a day in June: its number.
  static std::string Hours() {
    std::string rows;
    for (int hour = 0; hour < 24; ++hour) {
      absl::StrAppendFormat(&rows, "2026-06-01T%02d:00:00Z,%d\n", hour, 100 + hour);
    }
    return rows;
  }

  TempDir dir_;
};

TEST_F(TimeSeriesTest, ItsFirstDayIsTheFirstAndAfterTheLastItBeginsAgain) {
  const auto series = LoadCarbonSeries(Write(absl::StrCat(kHead, Hours())));
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_EQ(series->source, "us");
  EXPECT_EQ(series->grams.At(0), 100);
  EXPECT_EQ(series->grams.At(kHourMs - 1), 100);
  EXPECT_EQ(series->grams.At(5 * kHourMs), 105);
  EXPECT_EQ(series->grams.At(3 * kDayMs + 23 * kHourMs), 123);
  EXPECT_EQ(series->grams.At(-kHourMs), 123);
  EXPECT_EQ(series->grams.EndOf(kHourMs / 2), kHourMs);
  EXPECT_EQ(series->grams.EndOf(kHourMs), 2 * kHourMs);
  EXPECT_EQ(series->grams.Most(), 123);
}

TEST_F(TimeSeriesTest, TheMeanIsByTime) {
  const TimeSeries series(0, kHourMs, {10, 40});
  EXPECT_DOUBLE_EQ(series.MeanOver(0, 2 * kHourMs), 25);
  EXPECT_DOUBLE_EQ(series.MeanOver(kHourMs / 2, kHourMs + kHourMs / 4), 20);
  EXPECT_DOUBLE_EQ(series.MeanOver(kHourMs, kHourMs), 40);
}

TEST_F(TimeSeriesTest, GapsAndStepsBackAreRefusedByLine) {
  const std::string a = "2026-06-01T00:00:00Z,100\n2026-06-01T01:00:00Z,100\n";
  EXPECT_THAT(CarbonError(absl::StrCat(a, "2026-06-01T04:00:00Z,100\n")),
              HasSubstr("series.csv:6: a gap: 3 h after the figure before it"));
  EXPECT_THAT(CarbonError(absl::StrCat(a, "2026-06-01T01:30:00Z,100\n")),
              HasSubstr("series.csv:6: 0.5 h after"));
  EXPECT_THAT(CarbonError(absl::StrCat(a, "2026-06-01T00:30:00Z,100\n")), HasSubstr("6"));
  EXPECT_FALSE(LoadCarbonSeries(Write(absl::StrCat(kHead, a, "2026-06-01T00:30:00Z,1\n"))).ok());
  EXPECT_THAT(CarbonError("2026-06-01T00:00:00Z,-3\n"), HasSubstr("-3"));
  EXPECT_THAT(CarbonError(a), HasSubstr("2 figures in steps of 1 h are 2 h, not whole days"));
  EXPECT_THAT(std::string(LoadCarbonSeries(Write("time,g_per_kwh\n")).status().message()),
              HasSubstr("kind"));
  EXPECT_THAT(std::string(LoadCarbonSeries(dir_.File("no.csv")).status().message()),
              HasSubstr("no.csv"));
  const std::string watts = "time,domain,watts\n2026-06-01T00:00:00Z,a,1\n";
  EXPECT_THAT(std::string(LoadWattSeries(Write(absl::StrCat(watts, "2026-05-01T00:00:00Z,a,1\n")))
                              .status()
                              .message()),
              HasSubstr("series.csv:3"));
  EXPECT_THAT(std::string(LoadWattSeries(Write(absl::StrCat(watts, "2026-06-02T00:00:00Z,a,1\n",
                                                            "2026-06-05T00:00:00Z,a,1\n")))
                              .status()
                              .message()),
              HasSubstr("series.csv:4: a gap: 72 h"));
}

// What the coordinator reads is the same figure at the same virtual time.
TEST_F(TimeSeriesTest, TheCoordinatorReadsThemInVirtualTime) {
  const auto series = LoadCarbonSeries(Write(absl::StrCat(kHead, Hours())));
  ASSERT_TRUE(series.ok());
  const auto read =
      ParseIntensitySeries(CarbonFileText(*series, kMidnightMs, 3), "series", kHourMs);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->gaps(), 0U);
  EXPECT_EQ(read->source(), "us");
  for (const int64_t hour : {0, 7, 23, 24, 55}) {
    const auto figure = read->At(kMidnightMs + hour * kHourMs + 1);
    ASSERT_TRUE(figure.ok());
    EXPECT_EQ(figure->g_per_kwh, 100 + hour % 24);
    EXPECT_FALSE(figure->stale);
  }
}

TEST_F(TimeSeriesTest, TheExamplesAreWhatTheySay) {
  const std::string folder = "examples/simulation/";
  const auto carbon = LoadCarbonSeries(folder + "carbon-day.csv");
  ASSERT_TRUE(carbon.ok()) << carbon.status();
  EXPECT_THAT(carbon->source, HasSubstr("synthetic"));
  EXPECT_LT(carbon->grams.At(12 * kHourMs), carbon->grams.At(0));
  const auto sun = LoadWattSeries(folder + "sun-day.csv");
  ASSERT_TRUE(sun.ok()) << sun.status();
  const auto read = SurplusSeries::Parse(SurplusFileText(*sun, kMidnightMs, 2), "sun");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->At(kMidnightMs + 36 * kHourMs),
              UnorderedElementsAre(Pair("east", sun->at("east").At(12 * kHourMs)),
                                   Pair("west", sun->at("west").At(12 * kHourMs))));
  EXPECT_EQ(sun->at("west").At(0), 0);
}

}  // namespace
}  // namespace fedwatt
