#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/server/selectors/candidates.h"

namespace fedwatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

Candidate Site(const std::string& client, const std::string& domain, double joules, double seconds,
               double loss = 1) {
  Candidate c;
  c.client = client;
  c.power_domain = domain;
  c.cost = CostPrediction{joules, 0, seconds, 0};
  c.last_loss = LossSums{1, loss, loss * loss, 0, 0};
  return c;
}

absl::StatusOr<std::vector<std::string>> Plan(const std::map<std::string, double>& params,
                                              const std::vector<Candidate>& candidates,
                                              uint32_t count,
                                              std::map<std::string, double> surplus = {}) {
  const auto selector = *Plugins::Builtin().MakeSelector({"fedzero", params});
  const RoundKey key{"job", 2, 1, false};
  Rng rng = RoundRng(key, 1);
  const auto selection = selector->Select({key, count, candidates, std::move(surplus)}, rng);
  if (!selection.ok()) return selection.status();
  EXPECT_TRUE(selection->inclusion.empty());
  return ChosenNames(candidates, *selection);
}

// 10 W for 60 s are 600 J: two of the three of `solar` fit, one of `wind` with 5 W.
TEST(FedZeroTest, ADomainGivesNoMoreThanItsSurplus) {
  const std::vector<Candidate> candidates = {
      Site("a", "solar", 250, 50), Site("b", "solar", 260, 50), Site("c", "solar", 270, 50),
      Site("d", "wind", 280, 50), Site("e", "wind", 290, 50)};
  const auto plan = Plan({{"watts_solar", 10}, {"watts_wind", 5}, {"max_s", 60}}, candidates, 5);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(*plan, UnorderedElementsAre("a", "b", "d"));
}

TEST(FedZeroTest, TheShortestDurationThatIsFeasible) {
  // In one minute only the fast ones can finish; they suffice.
  std::vector<Candidate> candidates = {Site("fast-1", "", 100, 30, 0.1),
                                       Site("fast-2", "", 100, 50, 0.1),
                                       Site("slow", "", 100, 70, 10)};
  EXPECT_THAT(*Plan({}, candidates, 2), UnorderedElementsAre("fast-1", "fast-2"));
  // Three need two minutes.
  EXPECT_THAT(*Plan({}, candidates, 3), UnorderedElementsAre("fast-1", "fast-2", "slow"));
}

TEST(FedZeroTest, UtilityPerJouleDecidesAmongThoseThatFit) {
  const std::vector<Candidate> candidates = {Site("a", "", 100, 10, 1), Site("b", "", 10, 10, 1),
                                             Site("c", "", 100, 10, 20), Site("d", "", 50, 10, 1)};
  EXPECT_THAT(*Plan({}, candidates, 3), ElementsAre("c", "b", "d"));
}

TEST(FedZeroTest, WhatTheSourceTellsGoesFirst) {
  const std::vector<Candidate> candidates = {Site("a", "solar", 100, 10),
                                             Site("b", "wind", 100, 10)};
  const auto plan =
      Plan({{"watts_solar", 1000}, {"watts_wind", 1000}}, candidates, 2, {{"solar", 0}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(*plan, ElementsAre("b")) << "the sun has set";
}

TEST(FedZeroTest, NoSurplusAnywhereIsSaid) {
  const std::vector<Candidate> candidates = {Site("a", "solar", 100, 10)};
  const absl::Status status = Plan({{"watts_solar", 0}}, candidates, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("surplus of its power domain"));
}

TEST(FedZeroTest, AnUnknownSurplusBindsNobody) {
  const std::vector<Candidate> candidates = {Site("a", "tide", 1e6, 10), Site("b", "", 1e6, 10)};
  EXPECT_THAT(*Plan({{"watts_solar", 0}}, candidates, 2), UnorderedElementsAre("a", "b"));
}

// Against all subsets: the greedy plan is feasible, and never longer than twice the best.
TEST(FedZeroTest, NearlyAsShortAsTheBestPlan) {
  Rng rng(RngKey{.purpose = "fleets", .seed = 1});
  for (int fleet = 0; fleet < 60; ++fleet) {
    std::vector<Candidate> candidates;
    for (int i = 0; i < 8; ++i) {
      candidates.push_back(Site(absl::StrCat("c", i), i % 2 ? "x" : "y",
                                100 + static_cast<double>(rng.UniformInt(900)),
                                10 + static_cast<double>(rng.UniformInt(200)),
                                1 + static_cast<double>(rng.UniformInt(9))));
    }
    const std::map<std::string, double> watts = {{"x", 10}, {"y", 5}};
    const auto duration_of = [&](const std::set<std::string>& chosen) {
      std::map<std::string, double> joules;
      double seconds = 0;
      for (const Candidate& c : candidates) {
        if (!chosen.contains(c.client)) continue;
        joules[c.power_domain] += c.cost->joules;
        seconds = std::max(seconds, c.cost->seconds);
      }
      for (const auto& [domain, sum] : joules) seconds = std::max(seconds, sum / watts.at(domain));
      return seconds;
    };
    double best = 1e9;
    for (unsigned mask = 0; mask < 256; ++mask) {
      std::set<std::string> chosen;
      for (int i = 0; i < 8; ++i) {
        if (mask >> i & 1) chosen.insert(candidates[static_cast<size_t>(i)].client);
      }
      if (chosen.size() == 4) best = std::min(best, duration_of(chosen));
    }
    const auto plan = Plan({{"watts_x", 10}, {"watts_y", 5}, {"step_s", 1}}, candidates, 4);
    ASSERT_TRUE(plan.ok()) << plan.status();
    ASSERT_EQ(plan->size(), 4u);
    const double found = duration_of(std::set<std::string>(plan->begin(), plan->end()));
    EXPECT_LE(found, 2 * best);
  }
}

}  // namespace
}  // namespace fedwatt
