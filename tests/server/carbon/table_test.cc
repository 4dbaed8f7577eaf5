// What the built-in table says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/carbon/carbon_source.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

constexpr int64_t kNow = 0;  // a table has one figure for all times

TEST(TableSource, HasTheFiguresOf2023WithTheirSource) {
  const std::pair<const char*, double> figures[] = {{"FR", 56},  {"SE", 41},  {"GB", 238},
                                                    {"US", 369}, {"DE", 381}, {"CN", 582},
                                                    {"PL", 662}, {"IN", 713}};
  for (const auto& [region, grams] : figures) {
    const auto at = (*MakeCarbonSource({.source = "table", .region = region}))->At(kNow);
    EXPECT_EQ(at->g_per_kwh, grams);
    EXPECT_THAT(at->source, HasSubstr("Ember 2023"));
    EXPECT_EQ(CarbonKindText(at->kind), "average lifecycle CO2e location");
    EXPECT_FALSE(at->stale);
  }
}

TEST(TableSource, ARegionItDoesNotKnowIsTheWorldsAverageAndSaysSo) {
  const auto at = (*MakeCarbonSource({.source = "table", .region = "XX"}))->At(kNow);
  EXPECT_EQ(at->g_per_kwh, 475);
  EXPECT_THAT(at->note, HasSubstr("no region \"XX\""));
  EXPECT_EQ(CarbonKindText(at->kind), "average direct CO2 location") << "IEA counts smokestacks";
}

}  // namespace
}  // namespace fedwatt
