// A source that follows a file.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "server/carbon/carbon_source.h"

namespace fedwatt {
namespace {

constexpr int64_t kNow = FakeClock::kDefaultStartMs;
constexpr int64_t kHour = 3'600'000;

std::string Temp(const std::string& name) { return absl::StrCat(testing::TempDir(), "/", name); }

void Put(const std::string& path, const std::string& text) {
  ASSERT_TRUE(WriteFileAtomic(path, text).ok());
}

std::string Series(const std::string& kind, const std::string& rows) {
  return absl::StrCat("# kind: ", kind, "\ntime,g_per_kwh\n", rows);
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

TEST(FileSource, OneFileForEachRegion) {
  CarbonConfig config{.source = "file", .region = "SE", .path = Temp("grid-{region}.csv")};
  Put(Temp("grid-SE.csv"), Series("average lifecycle CO2e location", "2026-01-01T00:00:00Z,41\n"));
  EXPECT_EQ((*MakeCarbonSource(config))->At(kNow)->g_per_kwh, 41);
  config.region = "PL";
  EXPECT_EQ(MakeCarbonSource(config).status().code(), absl::StatusCode::kNotFound);
  for (const char* way_out : {"../grid-SE", "a/b", "."}) {
    config.region = way_out;
    EXPECT_EQ(MakeCarbonSource(config).status().code(), absl::StatusCode::kInvalidArgument);
  }
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
