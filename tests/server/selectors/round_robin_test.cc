#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/server/selectors/candidates.h"

namespace fedwatt {
namespace {

TEST(RoundRobinTest, EverybodyHasATurnBeforeAnybodyHasTwo) {
  const auto selector = NewSelector("round_robin");
  const std::vector<Candidate> candidates = MakeCandidates(10);
  std::map<std::string, int> turns;
  for (uint64_t round = 1; round <= 30; ++round) {
    for (const std::string& name : SelectNames(*selector, candidates, 3, round)) ++turns[name];
    int least = turns.size() < candidates.size() ? 0 : 1'000;
    int most = 0;
    for (const auto& [name, n] : turns) {
      least = std::min(least, n);
      most = std::max(most, n);
    }
    EXPECT_LE(most - least, 1) << "round " << round;
  }
  for (const auto& [name, n] : turns) EXPECT_EQ(n, 9) << name;
}

TEST(RoundRobinTest, TheSeedDoesNotMatter) {
  const std::vector<Candidate> candidates = MakeCandidates(10);
  EXPECT_EQ(SelectNames(*NewSelector("round_robin"), candidates, 3, 1, 1),
            SelectNames(*NewSelector("round_robin"), candidates, 3, 9, 2));
}

// A client that is chosen and never reports keeps no participations; it must not be chosen for
// ever.
TEST(RoundRobinTest, ClientsThatAlwaysFailDoNotKeepTheOthersOut) {
  const auto selector = NewSelector("round_robin");
  std::vector<Candidate> candidates = MakeCandidates(6);
  for (Candidate& c : candidates) c.participations = 0;
  std::set<std::string> chosen;
  for (uint64_t round = 1; round <= 3; ++round) {
    for (const std::string& name : SelectNames(*selector, candidates, 2, round)) {
      chosen.insert(name);
    }
  }
  EXPECT_EQ(chosen.size(), 6u);
}

TEST(RoundRobinTest, ANewcomerHasOneTurnALapLikeAllOthers) {
  const auto selector = NewSelector("round_robin");
  std::vector<Candidate> candidates = MakeCandidates(5);
  for (uint64_t round = 1; round <= 100; ++round) SelectNames(*selector, candidates, 1, round);
  candidates.push_back(Candidate{"newcomer", "", 0, 0, 0, {}, {}});
  int turns = 0;
  for (uint64_t round = 101; round <= 112; ++round) {
    turns += SelectNames(*selector, candidates, 1, round).front() == "newcomer";
  }
  EXPECT_EQ(turns, 2);
}

TEST(RoundRobinTest, WhoeverIsAbsentIsPassedOver) {
  const auto selector = NewSelector("round_robin");
  const std::vector<Candidate> all = MakeCandidates(4);
  const std::vector<std::string> order = SelectNames(*selector, all, 4, 1);
  std::vector<Candidate> rest;
  for (const Candidate& c : all) {
    if (c.client != order[0]) rest.push_back(c);
  }
  EXPECT_THAT(SelectNames(*selector, rest, 2, 2), testing::ElementsAre(order[1], order[2]));
  EXPECT_THAT(SelectNames(*selector, all, 2, 3), testing::ElementsAre(order[3], order[0]));
}

TEST(RoundRobinTest, NobodyThereMovesNothing) {
  const auto selector = NewSelector("round_robin");
  SelectNames(*selector, MakeCandidates(4), 2, 1);
  const std::string before = selector->SaveState();
  SelectNames(*selector, {}, 2, 2);
  EXPECT_EQ(selector->SaveState(), before);
}

}  // namespace
}  // namespace fedwatt
