#include "server/selectors/draws.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

uint64_t Sum(const std::vector<uint64_t>& units) {
  return std::accumulate(units.begin(), units.end(), uint64_t{0});
}

double Share(uint64_t units) { return static_cast<double>(units) / static_cast<double>(kSurely); }

std::vector<uint32_t> InOrder(size_t count) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  return order;
}

std::vector<std::vector<double>> WeightsOfAllKinds() {
  std::vector<std::vector<double>> all = {{1},
                                          {1, 1, 1, 1},
                                          {0, 0, 0},
                                          {5, 1, 1, 1, 1, 1},
                                          {1e300, 1, 1e-300, 0},
                                          {std::numeric_limits<double>::quiet_NaN(), 1, -1, 2},
                                          {std::numeric_limits<double>::infinity(), 1, 1}};
  Rng rng(RngKey{.purpose = "weights", .seed = 1});
  for (const size_t n : {2u, 17u, 100u, 5000u}) {
    std::vector<double> uniform;
    std::vector<double> steep;
    for (size_t i = 0; i < n; ++i) {
      uniform.push_back(rng.Uniform01());
      steep.push_back(std::ldexp(1.0, -static_cast<int>(rng.UniformInt(40))));
    }
    all.push_back(std::move(uniform));
    all.push_back(std::move(steep));
  }
  return all;
}

TEST(InclusionProbabilitiesTest, TheirSumIsExactlyTheNumberOfPlaces) {
  for (const std::vector<double>& weights : WeightsOfAllKinds()) {
    for (const uint32_t count : {1u, 2u, 3u, 16u, 99u, 4999u, 5000u, 6000u}) {
      const std::vector<uint64_t> p = InclusionProbabilities(weights, count);
      ASSERT_EQ(p.size(), weights.size());
      EXPECT_EQ(Sum(p), std::min<uint64_t>(count, weights.size()) * kSurely);
      for (const uint64_t units : p) EXPECT_TRUE(units >= 1 && units <= kSurely) << units;
    }
  }
}

TEST(InclusionProbabilitiesTest, BelowOneTheyAreInProportion) {
  const std::vector<uint64_t> p = InclusionProbabilities(std::vector<double>{1, 2, 3, 4}, 2);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(Share(p[i]), 0.2 * static_cast<double>(i + 1), 1e-11);
}

// 10 of 14 would have 1.43 places; then 3 of the other 4 again has more than one.
TEST(InclusionProbabilitiesTest, WhatIsBeyondOneGoesToTheOthers) {
  const std::vector<uint64_t> p =
      InclusionProbabilities(std::vector<double>{10, 3, 0.5, 0.25, 0.25}, 3);
  EXPECT_EQ(p[0], kSurely);
  EXPECT_EQ(p[1], kSurely);
  EXPECT_NEAR(Share(p[2]), 0.5, 1e-11);
  EXPECT_NEAR(Share(p[3]), 0.25, 1e-11);
}

TEST(SystematicSampleTest, HasExactlyAsManyAsTheProbabilitiesAddUpTo) {
  Rng rng(RngKey{.purpose = "start", .seed = 1});
  for (const std::vector<double>& weights : WeightsOfAllKinds()) {
    for (const uint32_t count : {1u, 3u, 50u}) {
      const std::vector<uint64_t> p = InclusionProbabilities(weights, count);
      for (const uint64_t start : {uint64_t{0}, kSurely - 1, rng.UniformInt(kSurely)}) {
        const std::vector<size_t> sample = SystematicSample(p, InOrder(p.size()), start);
        EXPECT_EQ(sample.size(), std::min<size_t>(count, weights.size()));
        EXPECT_EQ(std::set<size_t>(sample.begin(), sample.end()).size(), sample.size());
      }
    }
  }
}

// The chi-square statistic of how often each was drawn stays below its 99.9 % point. Systematic
// draws of one place are independent between rounds, so the bound is exact.
TEST(SystematicSampleTest, DrawsEachAsOftenAsItsProbabilitySays) {
  constexpr int kRounds = 40'000;
  const std::vector<double> weights = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15};
  const std::vector<uint64_t> p = InclusionProbabilities(weights, 1);
  Rng rng(RngKey{.purpose = "start", .seed = 2});
  std::vector<double> drawn(weights.size());
  const std::vector<uint32_t> order = InOrder(weights.size());
  for (int i = 0; i < kRounds; ++i)
    ++drawn[SystematicSample(p, order, rng.UniformInt(kSurely)).front()];
  double chi_square = 0;
  for (size_t i = 0; i < drawn.size(); ++i) {
    const double expected = kRounds * Share(p[i]);
    chi_square += (drawn[i] - expected) * (drawn[i] - expected) / expected;
  }
  EXPECT_LT(chi_square, 27.9) << "9 degrees of freedom";
}

TEST(WeightedDrawTest, DrawsEverybodyOnce) {
  Rng rng(RngKey{.purpose = "draw", .seed = 1});
  for (const std::vector<double>& weights : WeightsOfAllKinds()) {
    WeightedDraw draw(weights);
    std::set<size_t> drawn;
    while (draw.left() > 0) drawn.insert(draw.Next(rng));
    EXPECT_EQ(drawn.size(), weights.size());
    EXPECT_EQ(*drawn.rbegin(), weights.size() - 1);
  }
}

// Against the exact distribution of ordered pairs: w_i / S * w_j / (S - w_i).
TEST(WeightedDrawTest, PairsHaveTheProbabilityOfSuccessiveDraws) {
  constexpr int kRounds = 60'000;
  const std::vector<double> weights = {1, 2, 3, 6};
  Rng rng(RngKey{.purpose = "draw", .seed = 2});
  std::map<std::pair<size_t, size_t>, double> seen;
  for (int i = 0; i < kRounds; ++i) {
    WeightedDraw draw(weights);
    const size_t first = draw.Next(rng);
    ++seen[{first, draw.Next(rng)}];
  }
  double chi_square = 0;
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < 4; ++j) {
      if (i == j) continue;
      const double expected = kRounds * weights[i] / 12 * weights[j] / (12 - weights[i]);
      const double off = seen[{i, j}] - expected;
      chi_square += off * off / expected;
    }
  }
  EXPECT_LT(chi_square, 31.3) << "99.9 % point, 11 degrees of freedom";
}

TEST(DrawUniformTest, TakesAllWhenThereAreTooFew) {
  Rng rng(RngKey{.purpose = "draw", .seed = 3});
  const std::vector<uint32_t> members = {4, 9, 2};
  const std::vector<size_t> drawn = DrawUniform(members, 10, rng);
  EXPECT_EQ(std::set<size_t>(drawn.begin(), drawn.end()), (std::set<size_t>{2, 4, 9}));
  EXPECT_TRUE(DrawUniform({}, 3, rng).empty());
}

}  // namespace
}  // namespace fedwatt
