// What holds for every source, and the two that need no network.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "server/carbon/carbon_source.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

constexpr int64_t kNow = FakeClock::kDefaultStartMs;
constexpr int64_t kHour = 3'600'000;

std::string Temp(const std::string& name) { return absl::StrCat(testing::TempDir(), "/", name); }

void Put(const std::string& path, const std::string& text) {
  ASSERT_TRUE(WriteFileAtomic(path, text).ok());
}

std::string Series(const std::string& kind, const std::string& rows) {
  return absl::StrCat("# kind: ", kind, "\ntime,g_per_kwh\n", rows);
}

// A configuration that each source accepts without a network.
CarbonConfig Sound(const std::string& name) {
  CarbonConfig config;
  config.source = name;
  config.region = "DE";
  config.path = Temp("sound.csv");
  config.token_file = Temp("sound.token");
  config.url = "http://127.0.0.1:1";  // nobody listens
  config.timeout_ms = 2000;
  Put(config.path, Series("average lifecycle CO2e location", "2026-01-01T00:00:00Z,300\n"));
  Put(config.token_file, "secret\n");
  return config;
}

class EveryCarbonSource : public testing::TestWithParam<std::string> {};

TEST_P(EveryCarbonSource, KnowsItsKindAndNeverInventsAFigure) {
  const auto source = MakeCarbonSource(Sound(GetParam()));
  ASSERT_TRUE(source.ok()) << source.status();
  const auto kind = (*source)->Kind();
  ASSERT_TRUE(kind.ok()) << kind.status();
  (void)(*source)->Refresh(kNow);
  const auto at = (*source)->At(kNow);
  if (!at.ok()) {
    EXPECT_TRUE(absl::IsUnavailable(at.status())) << at.status();
    EXPECT_FALSE(at.status().message().empty());
    return;
  }
  EXPECT_TRUE(CheckIntensity(at->g_per_kwh, at->kind).ok());
  EXPECT_EQ(at->kind, *kind);
  EXPECT_FALSE(at->source.empty());
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& [name, make] : BuiltinCarbonSources()) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, EveryCarbonSource, testing::ValuesIn(Names()));

TEST(CarbonSources, AnUnknownNameIsToldTheNearest) {
  const auto source = MakeCarbonSource({.source = "wattime"});
  EXPECT_TRUE(absl::IsNotFound(source.status()));
  EXPECT_THAT(std::string(source.status().message()), HasSubstr("did you mean \"watttime\"?"));
}

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

TEST(FileSource, FollowsItsFile) {
  CarbonConfig config{.source = "file", .path = Temp("follow.csv")};
  Put(config.path, Series("average lifecycle CO2e location",
                          "2026-01-01T00:00:00Z,300\n2026-01-01T01:00:00Z,200\n"));
  const auto source = MakeCarbonSource(config);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->At(kNow + kHour)->g_per_kwh, 200);
  Put(config.path, Series("average lifecycle CO2e location", "2026-01-01T01:00:00Z,150\n"));
  EXPECT_EQ((*source)->At(kNow + kHour)->g_per_kwh, 200) << "At reads no file";
  ASSERT_TRUE((*source)->Refresh(kNow).ok());
  EXPECT_EQ((*source)->At(kNow + kHour)->g_per_kwh, 150);
}

TEST(FileSource, KeepsItsLastFigureStaleWhenTheFileBreaks) {
  CarbonConfig config{.source = "file", .path = Temp("breaks.csv")};
  Put(config.path, Series("average lifecycle CO2e location", "2026-01-01T00:00:00Z,300\n"));
  const auto source = MakeCarbonSource(config);
  ASSERT_TRUE(source.ok());
  for (const std::string& bad :
       {std::string("rubbish"),
        Series("average lifecycle CO2e location", "2026-01-01T00:00:00Z,-3\n"),
        Series("marginal direct CO2 location", "2026-01-01T00:00:00Z,700\n")}) {
    Put(config.path, bad);
    EXPECT_FALSE((*source)->Refresh(kNow).ok());
    const auto at = (*source)->At(kNow);
    ASSERT_TRUE(at.ok());
    EXPECT_EQ(at->g_per_kwh, 300);
    EXPECT_TRUE(at->stale);
    EXPECT_FALSE(at->note.empty());
  }
  Put(config.path, Series("average lifecycle CO2e location", "2026-01-01T00:00:00Z,310\n"));
  ASSERT_TRUE((*source)->Refresh(kNow).ok());
  EXPECT_FALSE((*source)->At(kNow)->stale);
}

TEST(FileSource, AMissingFileIsAnErrorAtOnce) {
  EXPECT_FALSE(MakeCarbonSource({.source = "file"}).ok());
  const auto source = MakeCarbonSource({.source = "file", .path = Temp("nowhere.csv")});
  EXPECT_TRUE(absl::IsNotFound(source.status())) << source.status();
}

}  // namespace
}  // namespace fedwatt
