// What the selectors that look at losses, speed and power prefer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "server/selectors/oort.h"
#include "server/selectors/utility.h"
#include "tests/server/selectors/candidates.h"

namespace fedwatt {
namespace {

using testing::UnorderedElementsAre;

// `count` clients that took part, with losses 1, 2, ... of ten examples each.
std::vector<Candidate> Veterans(size_t count) {
  std::vector<Candidate> candidates(count);
  for (size_t i = 0; i < count; ++i) {
    Candidate& c = candidates[i];
    const double loss = static_cast<double>(i + 1);
    c.client = absl::StrCat("client-", 100 + i);
    c.participations = 1;
    c.last_round = 1;
    c.last_loss = LossSums{10, 10 * loss, 10 * loss * loss, 0, 0};
    c.last_seconds = 10;
  }
  return candidates;
}

std::unique_ptr<Selector> Make(const std::string& name,
                               const std::map<std::string, double>& params) {
  return *Plugins::Builtin().MakeSelector({name, params});
}

// How often each is chosen over `rounds` selections of a fleet that stays as it is.
std::map<std::string, int> Turns(Selector& selector, const std::vector<Candidate>& candidates,
                                 uint32_t count, uint64_t rounds) {
  std::map<std::string, int> turns;
  for (uint64_t round = 2; round < 2 + rounds; ++round) {
    for (const std::string& name : SelectNames(selector, candidates, count, round)) ++turns[name];
  }
  return turns;
}

TEST(UtilityTest, IsOortsOfTheLastReport) {
  Candidate c;
  EXPECT_FALSE(StatisticalUtility(c) || MeanLoss(c) || Duration(c));
  c.last_loss = LossSums{4, 8, 36, 0, 0};
  EXPECT_DOUBLE_EQ(*StatisticalUtility(c), 4 * 3.0) << "|B| sqrt(36 / 4)";
  EXPECT_DOUBLE_EQ(*MeanLoss(c), 2);
  c.last_loss = LossSums{0, 0, 0, 0, 0};
  EXPECT_FALSE(StatisticalUtility(c)) << "of no examples nothing is known";
  c.telemetry.loss = 3;
  c.example_count_bucket = 5;
  EXPECT_DOUBLE_EQ(*MeanLoss(c), LossOf(3));
  EXPECT_DOUBLE_EQ(*StatisticalUtility(c), 24 * LossOf(3)) << "16 to 32 examples";
}

TEST(UtilityTest, PredictedSecondsGoBeforeTheLast) {
  Candidate c;
  c.last_seconds = 5;
  EXPECT_EQ(Duration(c), 5);
  c.cost = CostPrediction{1, 0, 7, 0};
  EXPECT_EQ(Duration(c), 7);
}

// Utilities 10..50 over [0, 1]; round e^... : sqrt(0.1 ln R / 1).
TEST(UtilityTest, ScoresAreOorts) {
  std::vector<Candidate> candidates = Veterans(5);
  candidates[4].last_seconds = 40;
  const std::vector<uint32_t> members = {0, 1, 2, 3, 4};
  const RoundKey key{"job", 10, 1, false};
  const auto scores = OortScores({key, 2, candidates}, members, {1.0, 0.1, 2, /*pace=*/20});
  const double stale = 0.47985259;  // sqrt(0.1 ln 10)
  EXPECT_NEAR(scores[0], 0 + stale, 1e-6);
  EXPECT_NEAR(scores[2], 0.5 + stale, 1e-6);
  EXPECT_NEAR(scores[4], (1 + stale) / 4, 1e-6) << "twice as slow as T";
}

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

TEST(EaflTest, PrefersThosePowerIsLeftTo) {
  std::vector<Candidate> candidates = Veterans(10);
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].telemetry = {false, static_cast<uint8_t>(i < 5 ? 7 : 2), 3, {}, {}};
    candidates[i].cost = CostPrediction{4000, 0, 10, 0};
  }
  const auto all = Turns(*Make("eafl", {{"exploration", 0}, {"f", 0}}), candidates, 5, 50);
  EXPECT_EQ(all.size(), 5u);
  EXPECT_EQ(all.at("client-100"), 50) << "full, whatever its loss";
  const auto oort = Turns(*Make("eafl", {{"exploration", 0}, {"f", 1}}), candidates, 2, 50);
  EXPECT_EQ(oort.count("client-100"), 0u) << "Oort alone";
}

TEST(EaflTest, KeepsThoseOutWhoCannotAffordTheWork) {
  std::vector<Candidate> candidates = Veterans(10);
  candidates[9].telemetry = {false, 0, 3, {}, {}};
  const auto turns = Turns(*Make("eafl", {}), candidates, 9, 20);
  EXPECT_EQ(turns.size(), 9u);
  EXPECT_FALSE(turns.contains("client-109"));
}

}  // namespace
}  // namespace fedwatt
