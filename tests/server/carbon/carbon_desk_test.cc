#include "server/carbon/carbon_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::UnorderedElementsAre;

constexpr int64_t kNow = FakeClock::kDefaultStartMs;

TEST(CarbonDesk, GivesTheCoordinatorsOwnToJobsThatSayNothing) {
  CarbonDesk desk({.source = "table", .region = "FR"});
  const auto own = desk.For("", "");
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ((*own)->At(kNow)->g_per_kwh, 56);
  EXPECT_EQ((*desk.For("", "PL"))->At(kNow)->g_per_kwh, 662);
  EXPECT_EQ(*desk.For("table", "FR"), *own) << "one source for a region";
}

TEST(CarbonDesk, AJobCannotChooseAFileOrAService) {
  CarbonDesk desk({.source = "table", .region = "FR"});
  const auto source = desk.For("file", "");
  EXPECT_TRUE(absl::IsInvalidArgument(source.status()));
  EXPECT_THAT(std::string(source.status().message()), HasSubstr("carbon.source = \"file\""));
}

TEST(CarbonDesk, TheTableIsThereBesideTheCoordinatorsSource) {
  const std::string path = absl::StrCat(testing::TempDir(), "/desk.csv");
  ASSERT_TRUE(WriteFileAtomic(path,
                              "# kind: average lifecycle CO2e location\ntime,g_per_kwh\n"
                              "2026-01-01T00:00:00Z,300\n")
                  .ok());
  CarbonDesk desk({.source = "file", .region = "SE", .path = path});
  EXPECT_EQ((*desk.For("", ""))->At(kNow)->g_per_kwh, 300);
  EXPECT_EQ((*desk.For("table", ""))->At(kNow)->g_per_kwh, 41);
  ASSERT_TRUE(WriteFileAtomic(path, "gone").ok());
  desk.Refresh(kNow);
  EXPECT_TRUE((*desk.For("", ""))->At(kNow)->stale);
  EXPECT_FALSE((*desk.For("table", ""))->At(kNow)->stale);
}

TEST(CarbonDesk, ASourceThatCannotBeMadeIsAnErrorEachTime) {
  CarbonDesk desk({.source = "electricity_maps", .token_file = "/nowhere"});
  EXPECT_THAT(std::string(desk.For("", "").status().message()), HasSubstr("needs a region"));
  EXPECT_TRUE(desk.For("", "DE").ok());
}

TEST(CarbonDesk, HasALimitOfRegions) {
  CarbonDesk desk({.source = "table"});
  for (int i = 0; i < 256; ++i) ASSERT_TRUE(desk.For("", absl::StrCat("R", i)).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(desk.For("", "one more").status()));
  EXPECT_TRUE(desk.For("", "R7").ok());
}

constexpr int64_t kTenOClock = 1'780'308'000'000;  // 2026-06-01T10:00:00Z

TEST(CarbonDesk, ClientsAreAnsweredFromTheRegionsThatTheOperatorListed) {
  CarbonDesk desk(CarbonConfig{.region = "DE"});
  EXPECT_THAT(desk.FiguresOfClients(kTenOClock), IsEmpty()) << "none is listed";
  ASSERT_TRUE(desk.AllowClientRegions({"FR", "PL"}).ok());
  const auto figures = desk.FiguresOfClients(kTenOClock);
  EXPECT_THAT(figures, UnorderedElementsAre(Key("DE"), Key("FR"), Key("PL")));
  EXPECT_LT(figures.at("FR").g_per_kwh, figures.at("PL").g_per_kwh);
}

// A job may ask for Sweden; that does not make Sweden a region which clients may name.
TEST(CarbonDesk, RegionsOfJobsAreNotThoseOfClients) {
  CarbonDesk desk(CarbonConfig{.region = "DE"});
  ASSERT_TRUE(desk.AllowClientRegions({"FR"}).ok());
  ASSERT_TRUE(desk.For("", "SE").ok());
  EXPECT_FALSE(desk.FiguresOfClients(kTenOClock).contains("SE"));
}

TEST(CarbonDesk, AFileIsOfOneRegion) {
  const std::string path = testing::TempDir() + "/series.csv";
  ASSERT_TRUE(WriteFileAtomic(path,
                              "# kind: average lifecycle CO2e location\ntime,g_per_kwh\n"
                              "2026-01-01T00:00:00Z,412.5\n")
                  .ok());
  CarbonDesk desk(CarbonConfig{.source = "file", .path = path});
  const absl::Status refused = desk.AllowClientRegions({"FR"});
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(path));
}

TEST(CarbonDesk, ASurplusFileIsReadAgainAndABrokenOneLeavesTheLastInForce) {
  const std::string path = testing::TempDir() + "/surplus-of-desk.csv";
  (void)RemoveIfExists(path);
  CarbonDesk desk(CarbonConfig{});
  EXPECT_FALSE(desk.ReadSurplus(path).ok()) << "there is none";
  EXPECT_THAT(desk.SurplusWatts(kTenOClock), IsEmpty());
  ASSERT_TRUE(WriteFileAtomic(path, "time,domain,watts\n2026-06-01T10:00:00Z,solar,3500\n").ok());
  ASSERT_TRUE(desk.ReadSurplus(path).ok());
  ASSERT_TRUE(WriteFileAtomic(path, "time,domain,watts\n2026-06-01T10:00:00Z,solar,10\n").ok());
  desk.Refresh(kTenOClock);
  EXPECT_EQ(desk.SurplusWatts(kTenOClock), (std::map<std::string, double>{{"solar", 10}}));
  ASSERT_TRUE(WriteFileAtomic(path, "garbage").ok());
  desk.Refresh(kTenOClock);
  EXPECT_EQ(desk.SurplusWatts(kTenOClock), (std::map<std::string, double>{{"solar", 10}}));
}

}  // namespace
}  // namespace fedwatt
