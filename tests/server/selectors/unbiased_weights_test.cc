#include "server/selectors/unbiased_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/selectors/candidates.h"

namespace fedwatt {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(UnbiasedMultipliersTest, AreInverseProbabilitiesRelativeToTheRarest) {
  EXPECT_THAT(UnbiasedMultipliers(std::vector<double>{0.1, 0.2, 0.4}, 100),
              ElementsAre(DoubleEq(1), DoubleEq(0.5), DoubleEq(0.25)));
  EXPECT_THAT(UnbiasedMultipliers(std::vector<double>{0.3, 0.3}, 10), ElementsAre(1, 1));
  EXPECT_THAT(UnbiasedMultipliers({}, 10), IsEmpty());
}

TEST(UnbiasedMultipliersTest, TheRatioIsClipped) {
  EXPECT_THAT(UnbiasedMultipliers(std::vector<double>{1e-9, 0.25, 1}, 4),
              ElementsAre(DoubleEq(1), DoubleEq(1), DoubleEq(0.25)));
  EXPECT_THAT(UnbiasedMultipliers(std::vector<double>{0.01, 0.5, 1}, 1), ElementsAre(1, 1, 1))
      << "no correction at all";
}

TEST(WeighedPartsTest, KeepsWholeWeightsAndNeverLosesOne) {
  EXPECT_EQ(WeighedParts(1, 1), kWeightParts);
  EXPECT_EQ(WeighedParts(1, 0.25), kWeightParts / 4);
  EXPECT_EQ(WeighedParts(600, 0.5), 300 * kWeightParts);
  EXPECT_EQ(WeighedParts(1, 1e-9), 1u);
  EXPECT_EQ(WeighedParts(uint64_t{1} << 30, 1), uint64_t{1} << 40);
}

// The mean of many rounds of weighed reports is the mean of the fleet, though cheap clients, whose
// values are small, are chosen several times as often. Both estimators are what the coordinator
// computes: a ratio of sums of whole weights.
TEST(UnbiasedMultipliersTest, TheMeanOverManySelectionsApproachesTheFleets) {
  constexpr int kRounds = 5000;
  constexpr uint32_t kChosen = 12;
  std::vector<Candidate> candidates(60);
  const auto value = [](size_t i) { return 1 + static_cast<double>(i % 5); };
  const auto weight = [](size_t i) { return 10 + 7 * (i % 3); };
  double sum = 0;
  double weights = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].client = absl::StrCat("client-", 100 + i);
    candidates[i].telemetry.charging = true;
    candidates[i].cost = CostPrediction{100 * value(i), 0, 10, 0};
    sum += static_cast<double>(weight(i)) * value(i);
    weights += static_cast<double>(weight(i));
  }
  const double fleet = sum / weights;
  const auto selector = *Plugins::Builtin().MakeSelector(
      {"joule", {{"unbiased", 10}, {"energy_power", 1}, {"exploration", 0.2}}});
  double unbiased = 0;
  double plain = 0;
  for (uint64_t round = 1; round <= kRounds; ++round) {
    const RoundKey key{"job", round, 1, false};
    Rng rng = RoundRng(key, 1);
    const auto selection = selector->Select({key, kChosen, candidates}, rng);
    const std::vector<double> factors = UnbiasedMultipliers(selection->inclusion, 10);
    double weighed_sum = 0, weighed_total = 0, plain_sum = 0, plain_total = 0;
    for (size_t i = 0; i < selection->chosen.size(); ++i) {
      const size_t client = selection->chosen[i];
      const auto parts = static_cast<double>(WeighedParts(weight(client), factors[i]));
      weighed_sum += parts * value(client);
      weighed_total += parts;
      plain_sum += static_cast<double>(weight(client)) * value(client);
      plain_total += static_cast<double>(weight(client));
    }
    unbiased += weighed_sum / weighed_total / kRounds;
    plain += plain_sum / plain_total / kRounds;
  }
  // A ratio of sums is off by O(1 / chosen); the plain mean by the preference itself.
  EXPECT_NEAR(unbiased, fleet, 0.03 * fleet);
  EXPECT_LT(plain, 0.85 * fleet);
}

}  // namespace
}  // namespace fedwatt
