#include "simulation/compare/tipping_point.h"

#include <gtest/gtest.h>

#include <vector>

namespace fedwatt {
namespace {

constexpr Observation Known(double value) { return {value, false}; }
constexpr Observation Cut(double value) { return {value, true}; }

// Whether the known ones of ours sum to at most so much.
auto SumOfOurs(double limit) {
  return [limit](std::span<const Pair> pairs) {
    double sum = 0;
    for (const Pair& pair : pairs) sum += pair.ours.censored ? 1e9 : pair.ours.value;
    return sum <= limit;
  };
}

TEST(TippingPointTest, IsWhatEachCensoredRunMayComeTo) {
  const std::vector<Pair> pairs = {
      {Known(10), Known(50)}, {Cut(4), Known(50)}, {Cut(7), Known(50)}};
  const auto point = FindTippingPoint(pairs, Side::kOurs, SumOfOurs(70));
  ASSERT_TRUE(point.has_value());
  EXPECT_EQ(point->runs, 2u);
  EXPECT_EQ(point->reached, 7);
  EXPECT_LE(point->at_most, 30) << "it holds there";
  EXPECT_GT(point->at_most, 30 * 0.998);
}

TEST(TippingPointTest, RunsOfTheOtherSideStayAsTheyAre) {
  const std::vector<Pair> pairs = {{Known(10), Cut(3)}, {Known(20), Cut(5)}};
  const auto holds = [](std::span<const Pair> known) {
    return known[0].reference.value + known[1].reference.value <= 12;
  };
  EXPECT_FALSE(FindTippingPoint(pairs, Side::kOurs, holds).has_value());
  const auto point = FindTippingPoint(pairs, Side::kReference, holds);
  ASSERT_TRUE(point.has_value());
  EXPECT_NEAR(point->at_most, 6, 0.012);
}

TEST(TippingPointTest, ThereIsNoneWithoutAThreat) {
  const std::vector<Pair> known = {{Known(10), Known(50)}};
  EXPECT_FALSE(FindTippingPoint(known, Side::kOurs, SumOfOurs(70)).has_value());
  const std::vector<Pair> cut = {{Cut(10), Known(50)}};
  EXPECT_FALSE(FindTippingPoint(cut, Side::kOurs, SumOfOurs(9)).has_value()) << "it falls already";
  const auto always = [](std::span<const Pair>) { return true; };
  EXPECT_FALSE(FindTippingPoint(cut, Side::kOurs, always).has_value());
}

}  // namespace
}  // namespace fedwatt
