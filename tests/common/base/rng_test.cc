#include "common/base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

namespace fedwatt {
namespace {

using Block = std::array<uint32_t, 4>;

// The three philox4x32-10 vectors of Random123's kat_vectors file.
TEST(Philox, ReproducesTheKnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

RngKey Key() { return {.job = "job", .round = 3, .client = "c1", .purpose = "test", .seed = 7}; }

// Written down so that a change of the derivation, which would break every replay, is noticed.
// The expected state was computed from the header's description by an independent program.
TEST(Rng, DerivesTheStreamAsDocumented) {
  EXPECT_EQ(Rng(RngKey{}).state(), (Rng::State{0xc54c06d8b8a43a3, 0xe7d59f82703c2a09, 0}));
  EXPECT_EQ(Rng(Key()).state(), (Rng::State{0xc2eafacc4b66b557, 0x938d27df3d18432, 0}));
}

TEST(Rng, WordsAreTheBlocksOfItsStreamInOrder) {
  Rng rng(Key());
  const Rng::State s = rng.state();
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  for (uint32_t block = 0; block < 3; ++block) {
    const Block expected =
        Philox4x32({block, 0, low(s.stream), high(s.stream)}, {low(s.key), high(s.key)});
    for (const uint32_t word : expected) EXPECT_EQ(rng.NextU32(), word);
  }
}

TEST(Rng, EveryPartOfTheNameMatters) {
  std::vector<RngKey> keys(6, Key());
  keys[1].job = "job2";
  keys[2].round = 4;
  keys[3].client = "c2";
  keys[4].purpose = "other";
  keys[5].seed = 8;
  std::set<uint64_t> first_draws;
  for (const RngKey& key : keys) first_draws.insert(Rng(key).NextU64());
  EXPECT_EQ(first_draws.size(), keys.size());
}

TEST(Rng, MovingALetterBetweenFieldsChangesTheStream) {
  EXPECT_NE(Rng(RngKey{.job = "ab", .client = "c"}).NextU64(),
            Rng(RngKey{.job = "a", .client = "bc"}).NextU64());
}

TEST(Rng, ASavedStateContinuesWhereItStopped) {
  for (int drawn = 0; drawn < 9; ++drawn) {
    Rng rng(Key());
    for (int i = 0; i < drawn; ++i) rng.NextU32();
    Rng restored(rng.state());
    for (int i = 0; i < 9; ++i) EXPECT_EQ(restored.NextU32(), rng.NextU32()) << drawn;
  }
}

TEST(Rng, Uniform01StaysBelowOne) {
  Rng rng(Key());
  double sum = 0.0;
  for (int i = 0; i < 100'000; ++i) {
    const double u = rng.Uniform01();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 4 * 0.2887 / std::sqrt(100'000));
}

TEST(Rng, UniformIntIsUniformByChiSquare) {
  Rng rng(Key());
  constexpr int kBins = 7;
  constexpr int kDraws = 70'000;
  std::array<int, kBins> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts.at(rng.UniformInt(kBins));
  double chi2 = 0.0;
  for (const int count : counts) {
    const double expected = static_cast<double>(kDraws) / kBins;
    chi2 += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi2, 22.46);  // the 0.999 quantile with 6 degrees of freedom
}

// With a bound of 3/4 of 2^64 a generator without rejection would return a third of its values
// twice as often: the mean would be 0.458 instead of 0.5.
TEST(Rng, UniformIntRejectsForLargeBounds) {
  Rng rng(Key());
  const uint64_t bound = (uint64_t{3} << 62);
  double sum = 0.0;
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t x = rng.UniformInt(bound);
    ASSERT_LT(x, bound);
    sum += static_cast<double>(x) / static_cast<double>(bound);
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.004);
}

TEST(Rng, UniformIntHandlesTheSmallestBounds) {
  Rng rng(Key());
  EXPECT_EQ(rng.UniformInt(0), 0U);
  EXPECT_EQ(rng.UniformInt(1), 0U);
}

struct Moments {
  double mean = 0.0;
  double variance = 0.0;
};

template <typename Draw>
Moments Measure(int count, Draw draw) {
  double sum = 0.0;
  double squares = 0.0;
  for (int i = 0; i < count; ++i) {
    const double x = draw();
    sum += x;
    squares += x * x;
  }
  const double mean = sum / count;
  return {mean, squares / count - mean * mean};
}

TEST(Rng, NormalHasMeanZeroAndVarianceOne) {
  Rng rng(Key());
  const Moments m = Measure(200'000, [&rng] { return rng.Normal(); });
  EXPECT_NEAR(m.mean, 0.0, 4 / std::sqrt(200'000));
  EXPECT_NEAR(m.variance, 1.0, 4 * std::sqrt(2.0 / 200'000));
}

TEST(Rng, GammaHasMeanAndVarianceOfItsShape) {
  for (const double shape : {0.3, 1.0, 4.5}) {
    Rng rng(Key());
    const Moments m = Measure(200'000, [&rng, shape] { return rng.Gamma(shape); });
    EXPECT_NEAR(m.mean, shape, 5 * std::sqrt(shape / 200'000)) << shape;
    EXPECT_NEAR(m.variance, shape, 0.05 * shape) << shape;
  }
}

TEST(Rng, StudentTHasTheQuartilesOfItsFreedom) {
  // 1 is Cauchy's; 1000 is nearly normal.
  for (const auto& [freedom, quartile] : {std::pair(1.0, 1.0), std::pair(1000.0, 0.6747)}) {
    constexpr int kDraws = 200'000;
    Rng rng(Key());
    int below = 0;
    int within = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double t = rng.StudentT(freedom);
      below += t < 0;
      within += std::abs(t) < quartile;
    }
    EXPECT_NEAR(below, kDraws / 2, 5 * std::sqrt(kDraws / 4)) << freedom;
    EXPECT_NEAR(within, kDraws / 2, 5 * std::sqrt(kDraws / 4)) << freedom;
  }
}

TEST(Rng, DirichletPointsLieOnTheSimplexWithTheRightMean) {
  Rng rng(Key());
  const std::vector<double> alpha = {1.0, 2.0, 5.0};
  std::array<double, 3> mean{};
  for (int i = 0; i < 20'000; ++i) {
    const std::vector<double> p = rng.Dirichlet(alpha);
    ASSERT_NEAR(std::accumulate(p.begin(), p.end(), 0.0), 1.0, 1e-12);
    for (size_t k = 0; k < 3; ++k) mean.at(k) += p[k] / 20'000;
  }
  EXPECT_NEAR(mean[0], 0.125, 0.01);
  EXPECT_NEAR(mean[1], 0.25, 0.01);
  EXPECT_NEAR(mean[2], 0.625, 0.01);
}

TEST(Rng, DirichletWithTinyAlphaGivesAVertexNotNaN) {
  Rng rng(Key());
  const std::vector<double> alpha(10, 1e-6);
  for (int i = 0; i < 100; ++i) {
    const std::vector<double> p = rng.Dirichlet(alpha);
    EXPECT_NEAR(*std::max_element(p.begin(), p.end()), 1.0, 1e-9);
  }
}

TEST(Rng, ShuffleReachesEveryPermutationEquallyOften) {
  Rng rng(Key());
  std::array<int, 64> counts{};
  for (int i = 0; i < 60'000; ++i) {
    std::vector<size_t> v = {0, 1, 2};
    rng.Shuffle(v);
    ++counts.at(v[0] * 16 + v[1] * 4 + v[2]);
  }
  int seen = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++seen;
    EXPECT_NEAR(count, 10'000, 4 * 91.3);
  }
  EXPECT_EQ(seen, 6);
}

}  // namespace
}  // namespace fedwatt
