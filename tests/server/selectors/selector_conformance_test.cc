// What holds for every selector. A new line in builtin.def is tested here without an edit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "tests/server/selectors/candidates.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

class SelectorConformanceTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Selector> New() const { return NewSelector(GetParam()); }
  absl::StatusOr<std::unique_ptr<Selector>> NewUnbiased() const {
    PluginSpec spec = ExampleSpec(GetParam());
    spec.params["unbiased"] = 10;
    return Plugins::Builtin().MakeSelector(spec);
  }
};

TEST_P(SelectorConformanceTest, ChoosesAsManyAsAskedAndNobodyTwice) {
  const auto selector = New();
  for (const size_t there : {0, 1, 2, 5, 100}) {
    const std::vector<Candidate> candidates = MakeCandidates(there);
    for (const uint32_t count : {0u, 1u, 2u, 3u, 99u, 100u, 101u, UINT32_MAX}) {
      const RoundKey key{"job", 1, 1, false};
      Rng rng = RoundRng(key, there);
      const auto selection = selector->Select({key, count, candidates}, rng);
      ASSERT_TRUE(selection.ok()) << selection.status();
      const std::set<size_t> distinct(selection->chosen.begin(), selection->chosen.end());
      EXPECT_EQ(selection->chosen.size(), std::min<size_t>(count, there));
      EXPECT_EQ(distinct.size(), selection->chosen.size());
      EXPECT_TRUE(distinct.empty() || *distinct.rbegin() < there);
    }
  }
}

TEST_P(SelectorConformanceTest, InclusionProbabilitiesFitTheSelection) {
  const auto selector = New();
  const std::vector<Candidate> candidates = MakeCandidates(20);
  for (const uint32_t count : {1u, 7u, 20u, 30u}) {
    const RoundKey key{"job", 1, 1, false};
    Rng rng = RoundRng(key, count);
    const auto selection = selector->Select({key, count, candidates}, rng);
    ASSERT_TRUE(selection.ok()) << selection.status();
    if (selection->inclusion.empty()) continue;
    ASSERT_EQ(selection->inclusion.size(), selection->chosen.size());
    for (const double p : selection->inclusion) {
      EXPECT_GT(p, 0);
      EXPECT_LE(p, 1);
      if (count >= candidates.size()) {
        EXPECT_EQ(p, 1) << "everybody is chosen, surely";
      }
    }
  }
}

// Over many rounds, counting each choice 1/p times counts every candidate equally often.
TEST_P(SelectorConformanceTest, InclusionProbabilitiesAreTrue) {
  constexpr int kRounds = 4000;
  auto unbiased = NewUnbiased();
  const auto selector = unbiased.ok() ? *std::move(unbiased) : New();
  const std::vector<Candidate> candidates = MakeCandidates(10);
  std::vector<double> counted(candidates.size());
  std::vector<double> least(candidates.size(), 1);
  for (int round = 1; round <= kRounds; ++round) {
    const RoundKey key{"job", static_cast<uint64_t>(round), 1, false};
    Rng rng = RoundRng(key, 5);
    const auto selection = selector->Select({key, 3, candidates}, rng);
    ASSERT_TRUE(selection.ok()) << selection.status();
    if (selection->inclusion.empty()) return;
    for (size_t i = 0; i < selection->chosen.size(); ++i) {
      const double p = selection->inclusion[i];
      counted[selection->chosen[i]] += 1 / p;
      least[selection->chosen[i]] = std::min(least[selection->chosen[i]], p);
    }
  }
  for (size_t i = 0; i < counted.size(); ++i) {
    const double sigma = std::sqrt((1 - least[i]) / least[i] / kRounds);
    EXPECT_NEAR(counted[i] / kRounds, 1, 6 * sigma + 1e-9) << candidates[i].client;
  }
}

TEST_P(SelectorConformanceTest, EqualSeedAndStateChooseTheSame) {
  const std::vector<Candidate> candidates = MakeCandidates(50);
  const auto one = New();
  const auto other = New();
  for (uint64_t round = 1; round <= 10; ++round) {
    EXPECT_EQ(SelectNames(*one, candidates, 7, round), SelectNames(*other, candidates, 7, round));
  }
}

TEST_P(SelectorConformanceTest, TheOrderOfArrivalDoesNotMatter) {
  const std::vector<Candidate> sorted = MakeCandidates(40);
  const auto one = New();
  const auto other = New();
  Rng shuffle(RngKey{"", 0, "", "shuffle", 1});
  for (uint64_t round = 1; round <= 10; ++round) {
    std::vector<Candidate> arrived = sorted;
    shuffle.Shuffle(arrived);
    EXPECT_EQ(SelectNames(*one, sorted, 9, round), SelectNames(*other, arrived, 9, round));
  }
}

TEST_P(SelectorConformanceTest, TheStateGoesOnWhereItWasSaved) {
  const std::vector<Candidate> candidates = MakeCandidates(30);
  const auto one = New();
  for (uint64_t round = 1; round <= 5; ++round) SelectNames(*one, candidates, 4, round);
  const auto other = New();
  ASSERT_TRUE(other->LoadState(one->SaveState()).ok());
  EXPECT_EQ(other->SaveState(), one->SaveState());
  for (uint64_t round = 6; round <= 10; ++round) {
    EXPECT_EQ(SelectNames(*one, candidates, 4, round), SelectNames(*other, candidates, 4, round));
  }
}

TEST_P(SelectorConformanceTest, TheStateNamesNobodyAndStaysSmall) {
  const std::vector<Candidate> candidates = MakeCandidates(5000);
  const auto selector = New();
  for (uint64_t round = 1; round <= 20; ++round) SelectNames(*selector, candidates, 400, round);
  EXPECT_THAT(selector->SaveState(), testing::Not(HasSubstr("client")));
  EXPECT_LE(selector->SaveState().size(), 64u * 1024);
}

TEST_P(SelectorConformanceTest, ForeignStateIsRefusedAndChangesNothing) {
  const std::vector<Candidate> candidates = MakeCandidates(30);
  const auto selector = New();
  SelectNames(*selector, candidates, 4, 1);
  const std::string before = selector->SaveState();
  for (const std::string& garbage :
       {std::string("garbage"), std::string(16, 'g'), std::string("\0\1\2", 3),
        std::string(100'000, 'x'), before + "0", std::string(" 123456789abcdef")}) {
    EXPECT_EQ(selector->LoadState(garbage).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(selector->SaveState(), before);
  }
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

absl::StatusOr<Selection> SelectOnce(Selector& selector, const std::vector<Candidate>& candidates,
                                     uint32_t count, uint64_t round = 7) {
  const RoundKey key{"job", round, 1, false};
  Rng rng = RoundRng(key, 3);
  return selector.Select({key, count, candidates}, rng);
}

// Sound: distinct, in range, as many as there can be, probabilities that are ones.
void ExpectSound(const absl::StatusOr<Selection>& selection, size_t candidates, uint32_t count) {
  ASSERT_TRUE(selection.ok()) << selection.status();
  const std::set<size_t> distinct(selection->chosen.begin(), selection->chosen.end());
  EXPECT_EQ(distinct.size(), selection->chosen.size());
  EXPECT_EQ(distinct.size(), std::min<size_t>(count, candidates));
  EXPECT_LT(*distinct.rbegin(), candidates);
  for (const double p : selection->inclusion) EXPECT_TRUE(p > 0 && p <= 1) << p;
}

TEST_P(SelectorConformanceTest, WithoutAnyTelemetryAllAreAlike) {
  std::vector<Candidate> candidates(40);
  for (size_t i = 0; i < candidates.size(); ++i) candidates[i].client = absl::StrCat("client-", i);
  ExpectSound(SelectOnce(*New(), candidates, 8), candidates.size(), 8);
}

TEST_P(SelectorConformanceTest, EqualCandidatesAreNoDivisionByZero) {
  std::vector<Candidate> candidates = MakeCandidates(1);
  candidates[0].participations = 1;
  candidates[0].last_round = 6;
  for (const double figure : {0.0, 1.0, 1e300}) {
    Candidate same = candidates[0];
    same.last_loss = LossSums{10, figure, figure, 0, 0};
    same.last_seconds = figure;
    same.cost = CostPrediction{figure, 0, figure, 0};
    same.carbon_g_per_kwh = figure;
    same.telemetry = {};
    std::vector<Candidate> alike(30, same);
    for (size_t i = 0; i < alike.size(); ++i) alike[i].client = absl::StrCat("client-", i);
    ExpectSound(SelectOnce(*New(), alike, 7), alike.size(), 7);
  }
}

// A liar harms only itself: whatever one client claims, the others stay in the running.
TEST_P(SelectorConformanceTest, AbsurdClaimsOfOneKeepNobodyElseOut) {
  for (const double absurd : {1e15, -1.0, kNan, std::numeric_limits<double>::infinity(), 1e308}) {
    std::vector<Candidate> candidates = MakeCandidates(20);
    Candidate& liar = candidates[6];
    liar.participations = 1;
    liar.last_round = 1;
    liar.last_loss = LossSums{1, absurd, absurd, 0, 0};
    liar.last_seconds = absurd;
    liar.cost = CostPrediction{absurd, absurd, absurd, absurd};
    liar.carbon_g_per_kwh = absurd;
    liar.telemetry = {true, {}, {}, {}, {}};
    std::set<size_t> seen;
    const auto selector = New();
    for (uint64_t round = 1; round <= 400; ++round) {
      const auto selection = SelectOnce(*selector, candidates, 10, round);
      ExpectSound(selection, candidates.size(), 10);
      if (!selection->inclusion.empty()) {
        seen.insert(selection->chosen.begin(), selection->chosen.end());
      }
    }
    EXPECT_TRUE(seen.empty() || seen.size() == candidates.size()) << absurd;
  }
}

TEST_P(SelectorConformanceTest, TheParticipationCapHolds) {
  PluginSpec spec = ExampleSpec(GetParam());
  spec.params["participation_cap"] = 3;
  const auto selector = *Plugins::Builtin().MakeSelector(spec);
  std::vector<Candidate> candidates = MakeCandidates(40);  // every fourth has three
  const auto selection = SelectOnce(*selector, candidates, 40);
  ASSERT_TRUE(selection.ok()) << selection.status();
  EXPECT_EQ(selection->chosen.size(), 30u);
  for (const size_t i : selection->chosen) EXPECT_LT(candidates[i].participations, 3u);
}

TEST_P(SelectorConformanceTest, WhenNobodyMayTakePartTheReasonIsTold) {
  PluginSpec spec = ExampleSpec(GetParam());
  spec.params["participation_cap"] = 1;
  const auto selector = *Plugins::Builtin().MakeSelector(spec);
  std::vector<Candidate> candidates = MakeCandidates(12);
  for (Candidate& candidate : candidates) candidate.participations = 1;
  const absl::Status status = SelectOnce(*selector, candidates, 4).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(status.message()),
            absl::StrCat("selector \"", GetParam(),
                         "\": none of 12 clients that wait may take part: 12 at "
                         "selector.params.participation_cap"));
}

// A client that its selector would never choose still takes part in time.
TEST_P(SelectorConformanceTest, TheFairnessFloorServesEverybody) {
  PluginSpec spec = ExampleSpec(GetParam());
  spec.params["fairness_floor"] = 0.5;
  const auto selector = *Plugins::Builtin().MakeSelector(spec);
  std::vector<Candidate> candidates = MakeCandidates(40);
  for (Candidate& candidate : candidates) {
    candidate.participations = candidate.last_round = 0;
    candidate.last_loss = LossSums{100, 200, 500, 0, 0};
  }
  candidates[7].last_loss = LossSums{1, 0, 0, 0, 0};
  candidates[7].cost = CostPrediction{500, 0, 500, 0};
  for (uint64_t round = 1; round <= 60; ++round) {
    const auto selection = SelectOnce(*selector, candidates, 8, round);
    ASSERT_TRUE(selection.ok()) << selection.status();
    EXPECT_EQ(selection->chosen.size(), 8u);
    for (const size_t i : selection->chosen) {
      ++candidates[i].participations;
      candidates[i].last_round = round;
    }
  }
  for (const Candidate& c : candidates) EXPECT_GE(c.participations, 4u) << c.client;
}

TEST_P(SelectorConformanceTest, AMisspeltParameterNamesTheNearest) {
  PluginSpec spec = ExampleSpec(GetParam());
  spec.params["fairnes_floor"] = 0.1;
  const absl::Status status = Plugins::Builtin().MakeSelector(spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("did you mean \"fairness_floor\"?"));
}

// Either a choice can be weighed out, or asking for it is refused.
TEST_P(SelectorConformanceTest, UnbiasedNeedsInclusionProbabilities) {
  const auto selector = NewUnbiased();
  if (selector.ok()) {
    EXPECT_EQ((*selector)->UnbiasedClip(), 10);
    EXPECT_FALSE(SelectOnce(**selector, MakeCandidates(20), 5)->inclusion.empty());
  } else {
    EXPECT_TRUE(SelectOnce(*New(), MakeCandidates(20), 5)->inclusion.empty());
    EXPECT_EQ(selector.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(selector.status().message()),
                HasSubstr("defines no inclusion probabilities"));
  }
}

TEST_P(SelectorConformanceTest, AnUnknownParameterIsRefused) {
  PluginSpec spec = ExampleSpec(GetParam());
  spec.params["tempreature"] = 1;
  const absl::Status status = Plugins::Builtin().MakeSelector(spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("selector.params.tempreature"));
}

TEST_P(SelectorConformanceTest, TheBatteryGateKeepsOutWhoseBatteryDoesNotBearTheWork) {
  std::vector<Candidate> candidates = MakeCandidates(40);
  for (size_t i = 0; i < candidates.size(); ++i) {
    const bool full = i % 2 == 0;
    candidates[i].telemetry.charging = false;
    candidates[i].telemetry.charge = full ? 7 : 0;
  }
  PluginSpec spec = ExampleSpec(GetParam());
  for (const double gate : {0.0, 1.0}) {
    spec.params["battery_gate"] = gate;
    const auto selector = *Plugins::Builtin().MakeSelector(spec);
    const RoundKey key{"job", 9, 1, false};
    Rng rng = RoundRng(key, 1);
    const auto selection = selector->Select({key, 40, candidates}, rng);
    ASSERT_TRUE(selection.ok()) << selection.status();
    size_t empty = 0;
    for (const size_t i : selection->chosen) empty += candidates[i].telemetry.charge == 0 ? 1 : 0;
    EXPECT_EQ(empty, gate > 0 ? 0u : 20u);
  }
}

INSTANTIATE_TEST_SUITE_P(Builtin, SelectorConformanceTest,
                         testing::ValuesIn(Names(BuiltinSelectors())),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace fedwatt
