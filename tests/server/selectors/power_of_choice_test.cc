#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/server/selectors/veterans.h"

namespace fedwatt {
namespace {

using testing::UnorderedElementsAre;

TEST(PowerOfChoiceTest, AllDrawnKeepsTheHighestLosses) {
  const auto selector = Make("power_of_choice", {{"d", 100}});
  EXPECT_THAT(SelectNames(*selector, Veterans(10), 3, 2),
              UnorderedElementsAre("client-107", "client-108", "client-109"));
}

// With d = 2 of n = 3 and one place: the lowest loss never, the middle one in a third of the draws.
TEST(PowerOfChoiceTest, TheBestOfTwoDraws) {
  const auto turns = Turns(*Make("power_of_choice", {{"d", 2}}), Veterans(3), 1, 3000);
  EXPECT_FALSE(turns.contains("client-100"));
  EXPECT_NEAR(turns.at("client-101"), 1000, 6 * 25.8);
}

TEST(PowerOfChoiceTest, WhomNobodyKnowsGoesFirst) {
  std::vector<Candidate> candidates = Veterans(10);
  candidates[0].last_loss.reset();
  EXPECT_THAT(SelectNames(*Make("power_of_choice", {{"d", 10}}), candidates, 1, 2),
              UnorderedElementsAre("client-100"));
}

}  // namespace
}  // namespace fedwatt
