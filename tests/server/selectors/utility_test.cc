#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "server/selectors/utility.h"
#include "tests/server/selectors/veterans.h"

namespace fedwatt {
namespace {

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
  const SelectionRequest request{RoundKey{"job", 10, 1, false}, 2, candidates};
  const auto scores = OortScores(10, FiguresOf(request, members), {1.0, 0.1, 2, /*pace=*/20});
  const double stale = 0.47985259;  // sqrt(0.1 ln 10)
  EXPECT_NEAR(scores[0], 0 + stale, 1e-6);
  EXPECT_NEAR(scores[2], 0.5 + stale, 1e-6);
  EXPECT_NEAR(scores[4], (1 + stale) / 4, 1e-6) << "twice as slow as T";
}

}  // namespace
}  // namespace fedwatt
