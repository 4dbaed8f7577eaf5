// What holds for every selector. A new line in builtin.def is tested here without an edit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/server/selectors/candidates.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

class SelectorConformanceTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Selector> New() const { return NewSelector(GetParam()); }
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
  const auto selector = New();
  const std::vector<Candidate> candidates = MakeCandidates(10);
  std::vector<double> counted(candidates.size());
  for (int round = 1; round <= kRounds; ++round) {
    const RoundKey key{"job", static_cast<uint64_t>(round), 1, false};
    Rng rng = RoundRng(key, 5);
    const auto selection = selector->Select({key, 3, candidates}, rng);
    ASSERT_TRUE(selection.ok()) << selection.status();
    if (selection->inclusion.empty()) return;
    for (size_t i = 0; i < selection->chosen.size(); ++i) {
      counted[selection->chosen[i]] += 1 / selection->inclusion[i];
    }
  }
  // Six standard deviations at p = 0.3: 6 sqrt(0.7 / 0.3 / 4000).
  for (const double n : counted) EXPECT_NEAR(n / kRounds, 1, 0.145);
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

TEST_P(SelectorConformanceTest, AnUnknownParameterIsRefused) {
  PluginSpec spec = ExampleSpec(GetParam());
  spec.params["tempreature"] = 1;
  const absl::Status status = Plugins::Builtin().MakeSelector(spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("selector.params.tempreature"));
}

INSTANTIATE_TEST_SUITE_P(Builtin, SelectorConformanceTest,
                         testing::ValuesIn(Names(BuiltinSelectors())),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace fedwatt
