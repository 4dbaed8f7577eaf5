#include "common/tensor/fixed_point.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "common/base/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

std::vector<float> SomeDelta(size_t n, uint64_t seed, float scale) {
  Rng rng(RngKey{"tensor", 0, "", "fixed-point", seed});
  std::vector<float> x(n);
  for (float& v : x) v = scale * static_cast<float>(rng.Normal());
  return x;
}

TEST(ChooseScaleTest, FollowsTheFormula) {
  EXPECT_EQ(*ChooseScale(1, 1, 1), 51);
  EXPECT_EQ(*ChooseScale(1, 1, 1 << 20), 42);
  EXPECT_EQ(*ChooseScale(64, 100'000, 8), 28);          // B W = 2^22.6: 51 - 23
  EXPECT_EQ(*ChooseScale(64, 100'000, 1'000'000), 19);  // B W N = 2^42.5: 62 - 43
  EXPECT_EQ(*ChooseScale(0.001, 1, 1), 60);
}

TEST(ChooseScaleTest, RefusesWhatLeavesNoPrecisionAndNamesTheBoundToLower) {
  const auto weight = ChooseScale(64, 1 << 30, 8);
  EXPECT_EQ(weight.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(weight.status().message()),
              HasSubstr("lower bounds.max_weight to 536870912"));
  EXPECT_TRUE(ChooseScale(64, 536870912, 8).ok());

  const auto delta = ChooseScale(1e12, 1, 1);
  EXPECT_THAT(std::string(delta.status().message()),
              HasSubstr("lower bounds.max_abs_delta to at most 3.43597e+10"));
  EXPECT_TRUE(ChooseScale(3.4e10, 1, 1).ok());
}

TEST(ChooseScaleTest, RefusesMeaninglessBounds) {
  EXPECT_FALSE(ChooseScale(0, 1, 1).ok());
  EXPECT_FALSE(ChooseScale(-1, 1, 1).ok());
  EXPECT_FALSE(ChooseScale(std::numeric_limits<double>::quiet_NaN(), 1, 1).ok());
  EXPECT_FALSE(ChooseScale(std::numeric_limits<double>::infinity(), 1, 1).ok());
  EXPECT_FALSE(ChooseScale(1, 0, 1).ok());
  EXPECT_FALSE(ChooseScale(1, 1, 0).ok());
}

TEST(FoldTest, TheWorstCaseWithinTheBoundsDoesNotOverflow) {
  constexpr uint64_t kWeight = 3000;
  constexpr uint64_t kReports = 5000;
  constexpr float kDelta = 7.0f;
  const int s = *ChooseScale(kDelta, kWeight, kReports);
  const std::vector<float> x = {kDelta, -kDelta};
  std::vector<int64_t> acc(2);
  for (uint64_t i = 0; i < kReports; ++i) FoldF32(x, FoldFactor(kWeight, 1, s), acc);
  EXPECT_GT(acc[0], 0);
  EXPECT_EQ(acc[0], -acc[1]);
  std::vector<float> mean(2);
  ToMeanF32(acc, FoldFactor(kWeight * kReports, 1, s), mean);
  EXPECT_EQ(mean[0], kDelta);
  EXPECT_EQ(mean[1], -kDelta);
}

TEST(FoldTest, RoundsEachAddendToNearestEven) {
  const std::vector<float> x = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0.49f, 2.51f, -2.51f};
  std::vector<int64_t> acc(x.size());
  FoldF32(x, 1.0, acc);
  EXPECT_THAT(acc, testing::ElementsAre(0, 2, 2, 0, -2, 0, 3, -3));
}

TEST(FoldTest, IsTheWeightedMeanUpToTheScale) {
  constexpr size_t kCount = 1003;
  const int s = *ChooseScale(64, 1000, 10);
  std::vector<int64_t> acc(kCount);
  std::vector<double> expected(kCount);
  uint64_t total = 0;
  for (uint64_t client = 0; client < 10; ++client) {
    const std::vector<float> x = SomeDelta(kCount, client, 0.1f);
    const uint64_t weight = 1 + client * 37;
    const double clip = client == 3 ? 0.25 : 1;
    FoldF32(x, FoldFactor(weight, clip, s), acc);
    for (size_t i = 0; i < kCount; ++i) {
      expected[i] += static_cast<double>(x[i]) * static_cast<double>(weight) * clip;
    }
    total += weight;
  }
  std::vector<float> mean(kCount);
  ToMeanF32(acc, FoldFactor(total, 1, s), mean);
  for (size_t i = 0; i < kCount; ++i) {
    EXPECT_NEAR(mean[i], expected[i] / static_cast<double>(total), 1e-8);
  }
}

TEST(FoldTest, NeitherOrderNorMergingChangesABit) {
  constexpr size_t kCount = 517;
  const int s = *ChooseScale(8, 100, 6);
  const auto fold = [&](const std::vector<uint64_t>& clients, std::vector<int64_t>* acc) {
    for (const uint64_t c : clients)
      FoldF32(SomeDelta(kCount, c, 1), FoldFactor(c + 1, 1, s), *acc);
  };
  std::vector<int64_t> forward(kCount);
  fold({0, 1, 2, 3, 4, 5}, &forward);
  std::vector<int64_t> backward(kCount);
  fold({5, 4, 3, 2, 1, 0}, &backward);
  std::vector<int64_t> left(kCount);
  std::vector<int64_t> right(kCount);
  fold({4, 1}, &left);
  fold({0, 5, 3, 2}, &right);
  AddI64(right, left);
  EXPECT_EQ(forward, backward);
  EXPECT_EQ(forward, left);
}

TEST(F32ScannerTest, KnowsNormAndMaximum) {
  F32Scanner scanner;
  scanner.Add(std::vector<float>{3.0f, -4.0f, 0.0f});
  const F32Stats stats = scanner.Stats();
  EXPECT_TRUE(stats.finite);
  EXPECT_EQ(stats.max_abs, 4.0f);
  EXPECT_EQ(stats.sum_squares, 25.0);
}

TEST(F32ScannerTest, AnEmptyVectorIsFine) {
  const F32Stats stats = F32Scanner().Stats();
  EXPECT_TRUE(stats.finite);
  EXPECT_EQ(stats.max_abs, 0.0f);
  EXPECT_EQ(stats.sum_squares, 0.0);
}

TEST(F32ScannerTest, TheCutIntoBlocksChangesNoBit) {
  const std::vector<float> x = SomeDelta(1000, 1, 1);
  F32Scanner whole;
  whole.Add(x);
  for (const size_t block : {1, 5, 16, 17, 100, 999}) {
    F32Scanner parts;
    for (size_t i = 0; i < x.size(); i += block) {
      parts.Add(std::span(x).subspan(i, std::min(block, x.size() - i)));
    }
    EXPECT_EQ(parts.Stats().sum_squares, whole.Stats().sum_squares) << block;
    EXPECT_EQ(parts.Stats().max_abs, whole.Stats().max_abs) << block;
  }
}

TEST(F32ScannerTest, FindsOneBadValueAnywhere) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (size_t at = 0; at < 67; ++at) {
      std::vector<float> x(67, 1.0f);
      x[at] = bad;
      F32Scanner scanner;
      scanner.Add(x);
      EXPECT_FALSE(scanner.Stats().finite) << at;
      const auto stats = ValidateF32(x, 64);
      EXPECT_THAT(std::string(stats.status().message()),
                  HasSubstr("coordinate " + std::to_string(at) + " is"));
    }
  }
}

TEST(ValidateF32Test, HoldsTheBoundItself) {
  const std::vector<float> x = {0.5f, -64.0f, 64.0f};
  EXPECT_TRUE(ValidateF32(x, 64).ok());
  const auto beyond = ValidateF32(x, 63.999);
  EXPECT_EQ(std::string(beyond.status().message()),
            "coordinate 1 is -64: beyond the bound of 63.999 (bounds.max_abs_delta)");
}

}  // namespace
}  // namespace fedwatt
