#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/server/selectors/veterans.h"

namespace fedwatt {
namespace {

// A phone with a full, a half and an empty battery, one on its charger, and one that tells nothing.
std::vector<Candidate> Phones() {
  std::vector<Candidate> phones(5);
  const DeviceTelemetry told[] = {{false, 7, 3, {}, {}},
                                  {false, 4, 3, {}, {}},
                                  {false, 0, 3, {}, {}},
                                  {true, 0, 3, {}, {}},
                                  {}};
  for (size_t i = 0; i < phones.size(); ++i) {
    phones[i].client = absl::StrCat("phone-", i);
    phones[i].telemetry = told[i];
  }
  return phones;
}

TEST(BatteryFilterTest, LeavesOutWhoseBatteryIsEmptyAndNobodyElse) {
  const auto turns = Turns(*Make("battery_filter", {}), Phones(), 2, 4000);
  EXPECT_FALSE(turns.contains("phone-2"));
  // A half each; six standard deviations of 4000 draws.
  for (const int i : {0, 1, 3, 4}) {
    EXPECT_NEAR(turns.at(absl::StrCat("phone-", i)), 2000, 6 * 31.6) << i;
  }
}

TEST(BatteryFilterTest, TheFloorIsTheJobs) {
  const auto turns = Turns(*Make("battery_filter", {{"battery_floor", 0.7}}), Phones(), 5, 1);
  EXPECT_THAT(turns, testing::UnorderedElementsAre(testing::Key("phone-0"), testing::Key("phone-3"),
                                                   testing::Key("phone-4")));
}

TEST(BatteryFilterTest, WhenAllAreEmptyItSaysSo) {
  std::vector<Candidate> phones = Phones();
  phones = {phones[2]};
  const auto selector = Make("battery_filter", {});
  const RoundKey key{"job", 1, 1, false};
  Rng rng = RoundRng(key, 1);
  const absl::Status status = selector->Select({key, 1, phones}, rng).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(status.message()),
            "selector \"battery_filter\": none of 1 clients that wait may take part: 1 at or below "
            "selector.params.battery_floor");
}

}  // namespace
}  // namespace fedwatt
