#include "server/carbon/surplus_series.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/carbon/intensity_series.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Watts = std::map<std::string, double>;

constexpr char kSeries[] =
    "# the community's inverters\n"
    "time,domain,watts\n"
    "2026-06-01T10:00:00Z,solar,3500\n"
    "2026-06-01T10:00:00Z,wind,0\n"
    "2026-06-01T11:00:00Z,solar,4100\n"
    "2026-06-01T12:00:00Z,solar,3900\n";

Watts At(const std::string& time) {
  return SurplusSeries::Parse(kSeries, "surplus.csv")->At(*ParseIsoTime(time));
}

TEST(SurplusSeriesTest, AFigureHoldsUntilTheNextOneOfItsDomain) {
  EXPECT_EQ(At("2026-06-01T10:59:59Z"), (Watts{{"solar", 3500}, {"wind", 0}}));
  EXPECT_EQ(At("2026-06-01T11:00:00Z").at("solar"), 4100);
}

TEST(SurplusSeriesTest, BeforeTheFirstAndAfterTheLastTheSurplusIsUnknownAndNotZero) {
  EXPECT_THAT(At("2026-06-01T09:59:59Z"), IsEmpty());
  EXPECT_EQ(At("2026-06-01T12:30:00Z"), (Watts{{"solar", 3900}})) << "one figure holds an hour";
  EXPECT_THAT(At("2026-06-01T13:00:00Z"), IsEmpty());
}

TEST(SurplusSeriesTest, WhatIsWrongIsSaidWithItsLine) {
  const std::pair<const char*, const char*> wrong[] = {
      {"time,watts\n", "surplus.csv:1: the first row is"},
      {"time,domain,watts\nnow,solar,1\n", "surplus.csv:2: \"now\" is not a time"},
      {"time,domain,watts\n2026-06-01T10:00:00Z,solar\n", "has 2 columns"},
      {"time,domain,watts\n2026-06-01T10:00:00Z,,1\n", "names a domain of 0 bytes"},
      {"time,domain,watts\n2026-06-01T10:00:00Z,solar,-1\n", "\"-1\" is not 0 to"},
      {"time,domain,watts\n2026-06-01T10:00:00Z,solar,nan\n", "\"nan\" is not 0 to"},
      {"time,domain,watts\n2026-06-01T10:00:00Z,solar,1\n2026-06-01T10:00:00Z,solar,2\n",
       "surplus.csv:3: goes back in time"},
      {"time,domain,watts\n", "holds no figure"},
      {"", "holds no figure"}};
  for (const auto& [text, message] : wrong) {
    const auto series = SurplusSeries::Parse(text, "surplus.csv");
    EXPECT_EQ(series.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(series.status().message()), HasSubstr(message));
  }
}

TEST(SurplusSeriesTest, TheNumberOfDomainsIsBounded) {
  std::string text = "time,domain,watts\n";
  for (int i = 0; i <= 1000; ++i) absl::StrAppend(&text, "2026-06-01T10:00:00Z,d", i, ",1\n");
  EXPECT_THAT(std::string(SurplusSeries::Parse(text, "surplus.csv").status().message()),
              HasSubstr("1000 domains"));
}

}  // namespace
}  // namespace fedwatt
