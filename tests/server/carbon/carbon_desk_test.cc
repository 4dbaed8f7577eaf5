#include "server/carbon/carbon_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace fedwatt
