#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "server/selectors/oort.h"
#include "tests/server/selectors/veterans.h"

namespace fedwatt {
namespace {

TEST(OortTest, ExplorationDecaysToItsFloor) {
  const auto selector = Make("oort", {{"exploration", 1}, {"exploration_decay", 0.5}});
  std::vector<Candidate> candidates = Veterans(20);
  std::set<std::string> fresh;
  for (size_t i = 10; i < 20; ++i) {
    candidates[i].participations = candidates[i].last_round = 0;
    candidates[i].last_loss.reset();
    fresh.insert(candidates[i].client);
  }
  const auto explored = [&](uint64_t round) {
    size_t n = 0;
    for (const auto& name : SelectNames(*selector, candidates, 10, round)) n += fresh.count(name);
    return n;
  };
  EXPECT_EQ(explored(2), 10u);
  EXPECT_EQ(explored(3), 5u);
  EXPECT_EQ(explored(4), 2u);
  for (uint64_t round = 5; round < 10; ++round) EXPECT_EQ(explored(round), 2u) << "floor 0.2";
}

TEST(OortTest, ExploitsHighLossesAndAvoidsTheSlow) {
  std::vector<Candidate> candidates = Veterans(20);
  candidates[19].last_seconds = 1000;
  const auto turns =
      Turns(*Make("oort", {{"exploration", 0}, {"clip", 1}, {"staleness", 0}}), candidates, 4, 100);
  EXPECT_FALSE(turns.contains("client-119")) << "the highest loss, a hundred times too slow";
  EXPECT_EQ(turns.at("client-118"), 100);
  EXPECT_FALSE(turns.contains("client-100"));
}

TEST(PacerTest, FlatUtilityLetsSlowerClientsInAndAJumpTakesItBack) {
  Pacer pacer(0.3, 2);
  for (const double utility : {5.0, 5.0}) pacer.AddRound(utility);
  EXPECT_EQ(pacer.share(), 0.3) << "nothing to compare with yet";
  for (const double utility : {5.0, 5.5}) pacer.AddRound(utility);
  EXPECT_DOUBLE_EQ(pacer.share(), 0.35) << "within 10 %";
  for (const double utility : {9.0, 9.0}) pacer.AddRound(utility);
  EXPECT_DOUBLE_EQ(pacer.share(), 0.35) << "neither flat nor a jump";
  for (const double utility : {90.0, 90.0}) pacer.AddRound(utility);
  EXPECT_DOUBLE_EQ(pacer.share(), 0.3) << "more than five times off";
}

TEST(PacerTest, StaysBetweenFiveAndAHundredPercent) {
  Pacer up(0.3, 1);
  for (int i = 0; i < 100; ++i) up.AddRound(1);
  EXPECT_EQ(up.share(), 1);
  Pacer down(0.3, 1);
  double utility = 1e-100;
  for (int i = 0; i < 100; ++i) down.AddRound(utility *= 7);
  EXPECT_DOUBLE_EQ(down.share(), 0.05);
}

}  // namespace
}  // namespace fedwatt
