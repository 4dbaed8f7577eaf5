#include <gtest/gtest.h>

#include <map>

#include "tests/server/selectors/candidates.h"

namespace fedwatt {
namespace {

// Against the exact distribution: each of the C(6, 2) = 15 pairs is equally likely. The statistic's
// 99.9 % point with 14 degrees of freedom is 36.1; the seeds are fixed, so this never flickers.
TEST(UniformTest, EverySetIsEquallyLikely) {
  constexpr int kRounds = 15'000;
  const auto selector = NewSelector("uniform");
  const std::vector<Candidate> candidates = MakeCandidates(6);
  std::map<std::vector<std::string>, int> seen;
  for (int round = 1; round <= kRounds; ++round) {
    std::vector<std::string> names =
        SelectNames(*selector, candidates, 2, static_cast<uint64_t>(round));
    std::sort(names.begin(), names.end());
    ++seen[names];
  }
  ASSERT_EQ(seen.size(), 15u);
  double chi_square = 0;
  for (const auto& [names, n] : seen) chi_square += (n - 1000.0) * (n - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 36.1);
}

TEST(UniformTest, SeedRoundAndAttemptEachChangeTheChoice) {
  const auto selector = NewSelector("uniform");
  const std::vector<Candidate> candidates = MakeCandidates(1000);
  const auto first = SelectNames(*selector, candidates, 10, 1, 1);
  EXPECT_NE(first, SelectNames(*selector, candidates, 10, 2, 1));
  EXPECT_NE(first, SelectNames(*selector, candidates, 10, 1, 2));
  const RoundKey second_attempt{"job", 1, 2, false};
  Rng rng = RoundRng(second_attempt, 1);
  EXPECT_NE(first,
            ChosenNames(candidates, *selector->Select({second_attempt, 10, candidates}, rng)));
}

// What a client has done before does not count.
TEST(UniformTest, HistoriesDoNotMatter) {
  const auto selector = NewSelector("uniform");
  std::vector<Candidate> candidates = MakeCandidates(30);
  const auto with = SelectNames(*selector, candidates, 5, 1);
  for (Candidate& c : candidates) c = Candidate{c.client, "", 0, 0, 0, {}, {}};
  EXPECT_EQ(with, SelectNames(*selector, candidates, 5, 1));
}

TEST(UniformTest, HasNoState) {
  const auto selector = NewSelector("uniform");
  SelectNames(*selector, MakeCandidates(5), 2, 1);
  EXPECT_EQ(selector->SaveState(), "");
}

}  // namespace
}  // namespace fedwatt
