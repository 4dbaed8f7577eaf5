#include "simulation/compare/statistics.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "common/base/rng.h"

// Means, changes and their intervals, by hand and against a program that sorts everything.
namespace fedwatt {
namespace {

std::vector<Observation> Runs(const std::vector<double>& values) {
  std::vector<Observation> runs;
  for (const double value : values) runs.push_back({value, false});
  return runs;
}

std::vector<Pair> Pairs(const std::vector<double>& ours, const std::vector<double>& reference) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < ours.size(); ++i) {
    pairs.push_back({{ours[i], false}, {reference[i], false}});
  }
  return pairs;
}

TEST(StatisticsTest, TheMeanIsTheMean) {
  const Estimate mean = Bootstrap(4).Mean(Runs({1, 2, 3, 6}));
  EXPECT_DOUBLE_EQ(mean.value, 3);
  EXPECT_EQ(mean.bound, Bound::kExact);
}

TEST(StatisticsTest, ChangeIsTheRatioOfTheMeansLessOne) {
  const Comparison comparison = Bootstrap(2).Compare(Pairs({1, 2}, {2, 4}));
  EXPECT_DOUBLE_EQ(comparison.change->value, -0.5);
  EXPECT_DOUBLE_EQ(comparison.difference.value, -1.5);
  EXPECT_EQ(comparison.less, 2U);
  EXPECT_EQ(comparison.more, 0U);
}

// Every pair has the ratio 1/2: whichever are drawn together, so has their sum.
TEST(StatisticsTest, PairsAreDrawnTogether) {
  const Comparison comparison = Bootstrap(3).Compare(Pairs({1, 10, 100}, {2, 20, 200}));
  EXPECT_DOUBLE_EQ(comparison.change->interval->low, -0.5);
  EXPECT_DOUBLE_EQ(comparison.change->interval->high, -0.5);
  EXPECT_LT(comparison.difference.interval->low, comparison.difference.interval->high);
}

// Of two runs a resample has 0, 1 or 2 of the second with probability 1/4, 1/2, 1/4: 95 % of the
// means need all three of them.
TEST(StatisticsTest, TheIntervalOfTwoRunsReachesBoth) {
  const Estimate mean = Bootstrap(2).Mean(Runs({0, 1}));
  EXPECT_EQ(mean.interval->low, 0);
  EXPECT_EQ(mean.interval->high, 1);
}

// Of n runs that are 0 but for one that is 1, a mean is B(n, 1/n) / n: for n = 10 the 97.5 %
// quantile of B(10, 0.1) is 3, its 2.5 % quantile 0.
TEST(StatisticsTest, TheIntervalIsThatOfTheBinomial) {
  const Estimate mean = Bootstrap(10).Mean(Runs({0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(mean.interval->low, 0);
  EXPECT_DOUBLE_EQ(mean.interval->high, 0.3);
}

// For a mean of many runs it comes to 1.96 standard errors on either side.
TEST(StatisticsTest, TheIntervalOfManyRunsIsNormal) {
  Rng rng(RngKey{.job = "", .round = 0, .client = "", .purpose = "test", .seed = 5});
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(rng.Normal());
  const Estimate mean = Bootstrap(400).Mean(Runs(values));
  double squares = 0;
  for (const double value : values) squares += (value - mean.value) * (value - mean.value);
  const double error = std::sqrt(squares / 400 / 400);
  EXPECT_NEAR((mean.interval->high - mean.value) / error, 1.96, 0.1);
  EXPECT_NEAR((mean.value - mean.interval->low) / error, 1.96, 0.1);
}

// The same by sorting, with other resamples: equal up to the resamples' own noise.
TEST(StatisticsTest, AgreesWithAProgramThatSortsEverything) {
  const std::vector<double> ours = {3, 5, 8, 2, 9, 4, 7, 6};
  const std::vector<double> reference = {4, 9, 9, 3, 9, 8, 8, 5};
  Rng rng(RngKey{.job = "", .round = 0, .client = "", .purpose = "other", .seed = 1});
  std::vector<double> changes;
  for (int i = 0; i < 40'000; ++i) {
    double a = 0;
    double b = 0;
    for (size_t k = 0; k < ours.size(); ++k) {
      const size_t drawn = rng.UniformInt(ours.size());
      a += ours[drawn];
      b += reference[drawn];
    }
    changes.push_back(a / b - 1);
  }
  std::sort(changes.begin(), changes.end());
  const Comparison comparison = Bootstrap(8).Compare(Pairs(ours, reference));
  EXPECT_DOUBLE_EQ(comparison.change->value, 44.0 / 55 - 1);
  EXPECT_NEAR(comparison.change->interval->low, changes[999], 0.01);
  EXPECT_NEAR(comparison.change->interval->high, changes[39'000], 0.01);
}

TEST(StatisticsTest, TwiceTheSameIsTwiceTheSame) {
  const std::vector<Pair> pairs = Pairs({3, 5, 8, 2}, {4, 9, 9, 3});
  const Comparison first = Bootstrap(4).Compare(pairs);
  const Comparison again = Bootstrap(4).Compare(pairs);
  EXPECT_EQ(first.change->interval->low, again.change->interval->low);
  EXPECT_EQ(first.change->interval->high, again.change->interval->high);
}

TEST(StatisticsTest, OneRunHasNoInterval) {
  EXPECT_FALSE(Bootstrap(1).Mean(Runs({5})).interval.has_value());
  const Comparison comparison = Bootstrap(1).Compare(Pairs({5}, {4}));
  EXPECT_DOUBLE_EQ(comparison.change->value, 0.25);
  EXPECT_FALSE(comparison.change->interval.has_value());
  EXPECT_FALSE(comparison.difference.interval.has_value());
}

TEST(StatisticsTest, NothingIsComparedWithNothing) {
  const Comparison none = Bootstrap(2).Compare(Pairs({1, 2}, {0, 0}));
  EXPECT_FALSE(none.change.has_value());
  EXPECT_DOUBLE_EQ(none.difference.value, 1.5);
  // Some resamples have no reference, so that a ratio has no interval.
  const Comparison some = Bootstrap(2).Compare(Pairs({1, 2}, {0, 1}));
  EXPECT_DOUBLE_EQ(some.change->value, 2);
  EXPECT_FALSE(some.change->interval.has_value());
  EXPECT_TRUE(some.difference.interval.has_value());
}

TEST(StatisticsTest, CensoredRunsMakeABoundOfAFigure) {
  const Observation known{10, false};
  const Observation cut{10, true};
  const Bootstrap two(2);
  EXPECT_EQ(two.Mean(std::vector<Observation>{known, cut}).bound, Bound::kAtLeast);
  const auto bound = [&](const Observation& ours, const Observation& reference) {
    const std::vector<Pair> pairs = {{ours, reference}, {known, known}};
    const Comparison comparison = two.Compare(pairs);
    EXPECT_EQ(comparison.change->bound, comparison.difference.bound);
    return comparison.change->bound;
  };
  EXPECT_EQ(bound(known, known), Bound::kExact);
  EXPECT_EQ(bound(cut, known), Bound::kAtLeast);
  EXPECT_EQ(bound(known, cut), Bound::kAtMost);
  EXPECT_EQ(bound(cut, cut), Bound::kUnknown);
}

// 5 is less than what is more than 7; of 9 and more than 7 nobody knows.
TEST(StatisticsTest, APairIsDecidedOnlyWhereTheCensoredRunCouldNotChangeIt) {
  const auto decided = [](const Observation& ours, const Observation& reference) {
    const Comparison comparison = Bootstrap(1).Compare(std::vector<Pair>{{ours, reference}});
    return std::pair(comparison.less, comparison.more);
  };
  EXPECT_EQ(decided({5, false}, {7, true}), std::pair(size_t{1}, size_t{0}));
  EXPECT_EQ(decided({9, false}, {7, true}), std::pair(size_t{0}, size_t{0}));
  EXPECT_EQ(decided({7, true}, {5, false}), std::pair(size_t{0}, size_t{1}));
  EXPECT_EQ(decided({5, true}, {7, false}), std::pair(size_t{0}, size_t{0}));
  EXPECT_EQ(decided({5, true}, {7, true}), std::pair(size_t{0}, size_t{0}));
  EXPECT_EQ(decided({5, false}, {5, false}), std::pair(size_t{0}, size_t{0}));
}

}  // namespace
}  // namespace fedwatt
