#include "common/codec/lattice.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "common/base/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/codec/instruction_sets.h"

namespace fedwatt {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> Gaussian(size_t n, double sigma) {
  Rng rng(RngKey{"lattice", n, "", "gaussian", 1});
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(sigma * rng.Normal());
  return values;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, {}, std::bit_cast<uint32_t, float>,
                            std::bit_cast<uint32_t, float>);
}

// All bfloat16 that may be steps: every significand with exponents far apart, and the ends.
std::vector<float> SomeSteps() {
  std::vector<float> steps = {kMinLatticeStep, kMaxLatticeStep};
  for (const int exponent : {-125, -60, -10, -1, 0, 40, 111}) {
    for (int significand = 128; significand < 256; ++significand) {
      steps.push_back(std::ldexp(static_cast<float>(significand), exponent - 7));
    }
  }
  return steps;
}

TEST(LatticeTest, AStepIsTheGreatestMagnitudeOverTheLevelsRoundedUp) {
  for (int bits = kMinLatticeBits; bits <= kMaxLatticeBits; ++bits) {
    std::vector<float> values = Gaussian(3 * kLatticeBlock + 5, 1e-3);
    std::fill_n(values.begin() + kLatticeBlock, kLatticeBlock, 0.0f);
    const auto steps = LatticeSteps(values, bits);
    ASSERT_TRUE(steps.ok()) << steps.status();
    ASSERT_EQ(steps->size(), 4u);
    EXPECT_TRUE(CheckLatticeSteps(*steps, values.size()).ok());
    EXPECT_EQ((*steps)[1], 0.0f);
    for (const size_t block : {0, 2, 3}) {
      const size_t begin = block * kLatticeBlock;
      float greatest = 0;
      for (size_t i = begin; i < std::min(begin + kLatticeBlock, values.size()); ++i) {
        greatest = std::max(greatest, std::fabs(values[i]));
      }
      const double levels = (1 << (bits - 1)) - 1;
      EXPECT_GE((*steps)[block], greatest / levels * (1 - 1e-7));
      EXPECT_LE((*steps)[block], greatest / levels * (1 + 1.0 / 128));
    }
  }
}

TEST(LatticeTest, RoundingMovesByHalfAStepAtMost) {
  const std::vector<float> values = Gaussian(2 * kLatticeBlock + 77, 3);
  for (int bits = kMinLatticeBits; bits <= kMaxLatticeBits; ++bits) {
    const std::vector<float> steps = *LatticeSteps(values, bits);
    std::vector<float> rounded = values;
    RoundToLattice(steps, rounded);
    for (size_t i = 0; i < values.size(); ++i) {
      // The quotient is a float: at 2^15 it has nine bits behind the point.
      const double bound = 0.5 * steps[i / kLatticeBlock] * (1 + 0x1p-9);
      ASSERT_LE(std::fabs(static_cast<double>(rounded[i]) - values[i]), bound) << bits << ", " << i;
    }
  }
}

TEST(LatticeTest, EveryMultipleStaysAndIsHadBack) {
  std::vector<int16_t> multiples;
  for (int k = -kMaxMultiple; k <= kMaxMultiple; k += 1)
    multiples.push_back(static_cast<int16_t>(k));
  const uint64_t blocks = LatticeBlocks(multiples.size());
  std::vector<float> values(multiples.size());
  std::vector<int16_t> back(multiples.size());
  for (const float step : SomeSteps()) {
    const std::vector<float> steps(blocks, step);
    ASSERT_TRUE(CheckLatticeSteps(steps, multiples.size()).ok()) << step;
    FromMultiples(steps, multiples, values);
    std::vector<float> rounded = values;
    RoundToLattice(steps, rounded);
    ASSERT_TRUE(SameBits(rounded, values)) << step;
    ASSERT_TRUE(ToMultiples(steps, values, back).ok()) << step;
    ASSERT_TRUE(back == multiples) << step;
    for (size_t i = 0; i < values.size(); i += 997) {
      ASSERT_EQ(values[i], static_cast<double>(multiples[i]) * static_cast<double>(step))
          << "not exact";
    }
  }
}

TEST(LatticeTest, TiesGoToEvenAndZerosArePositive) {
  const std::vector<float> steps = {0.5f};
  std::vector<float> values = {0.25f, 0.75f, -0.25f, -0.75f, 1.25f, -0.1f, -0.0f};
  RoundToLattice(steps, values);
  EXPECT_TRUE(SameBits(values, {0.0f, 1.0f, 0.0f, -1.0f, 1.0f, 0.0f, 0.0f}));
}

TEST(LatticeTest, WhatIsBeyondTheLastMultipleGoesThere) {
  const std::vector<float> steps = {2.0f};
  std::vector<float> values = {1e9f, -1e9f, 65536.0f, 3e38f};
  RoundToLattice(steps, values);
  EXPECT_EQ(values, (std::vector<float>{65534, -65534, 65534, 65534}));
}

TEST(LatticeTest, AStepOfZeroMakesZeros) {
  const std::vector<float> steps = {0.0f};
  std::vector<float> values = {1, -1, 0};
  RoundToLattice(steps, values);
  EXPECT_TRUE(SameBits(values, {0.0f, 0.0f, 0.0f}));
  std::vector<int16_t> multiples(3, 7);
  EXPECT_TRUE(ToMultiples(steps, values, multiples).ok());
  EXPECT_EQ(multiples, std::vector<int16_t>(3, 0));
  values[1] = 1e-30f;
  EXPECT_EQ(ToMultiples(steps, values, multiples).code(), absl::StatusCode::kInvalidArgument);
}

TEST(LatticeTest, TinyAndHugeBlocksKeepTheirPromises) {
  for (const float size : {1e-45f, 1e-40f, 1.2e-38f, 1e-30f, 5e33f}) {
    std::vector<float> values = {size, -size / 3, 0};
    const auto steps = LatticeSteps(values, 16);
    ASSERT_TRUE(steps.ok()) << steps.status();
    EXPECT_TRUE(CheckLatticeSteps(*steps, values.size()).ok()) << size;
    std::vector<float> rounded = values;
    RoundToLattice(*steps, rounded);
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_LE(std::fabs(rounded[i] - values[i]), (*steps)[0] * 0.501f) << size;
    }
  }
}

TEST(LatticeTest, ValuesThatHaveNoLatticeAreRefusedByName) {
  for (const float bad : {kInfinity, -kInfinity, std::nanf(""), 1e34f}) {
    std::vector<float> values = Gaussian(5000, 1);
    values[4321] = bad;
    const absl::Status status = LatticeSteps(values, 8).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("coordinate 4321 "));
  }
  for (const int bits : {3, 17}) {
    EXPECT_EQ(LatticeSteps({}, bits).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(LatticeTest, StepsOfOtherKindsAreRefused) {
  EXPECT_TRUE(CheckLatticeSteps({}, 0).ok());
  for (const float bad : {-1.0f, -0.0f, kInfinity, std::nanf(""), 1.001f, 1e-39f, 1e34f}) {
    const std::vector<float> steps = {0, bad};
    EXPECT_EQ(CheckLatticeSteps(steps, 4097).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  const std::vector<float> steps = {1, 1};
  EXPECT_TRUE(CheckLatticeSteps(steps, 8192).ok());
  for (const uint64_t other : {0, 4096, 8193}) {
    EXPECT_EQ(CheckLatticeSteps(steps, other).code(), absl::StatusCode::kInvalidArgument) << other;
  }
}

TEST(LatticeTest, AValueOffTheLatticeIsRefused) {
  const std::vector<float> steps(2, 0.25f);
  std::vector<float> values(4100, 0.75f);
  std::vector<int16_t> multiples(values.size());
  ASSERT_TRUE(ToMultiples(steps, values, multiples).ok());
  for (const size_t at : {0, 1000, 4095, 4099}) {
    for (const float bad : {std::nextafter(0.75f, 1.0f), -0.0f, 8192.0f, std::nanf("")}) {
      values[at] = bad;
      EXPECT_EQ(ToMultiples(steps, values, multiples).code(), absl::StatusCode::kInvalidArgument)
          << at << ", " << bad;
    }
    values[at] = 0.75f;
  }
}

TEST(LatticeTest, SumsThatAreNotFiniteAreRefused) {
  for (const float step : {0.0f, 1.0f}) {
    const std::vector<float> steps = {step};
    std::vector<float> values = {1, 2, 3};
    EXPECT_TRUE(AddAndRound(steps, std::vector<float>{0.4f, 0, -9}, values).ok());
    EXPECT_EQ(values, step == 0 ? (std::vector<float>{0, 0, 0}) : (std::vector<float>{1, 2, -6}));
    for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
      std::vector<float> sums = {1, 2, 3};
      EXPECT_EQ(AddAndRound(steps, std::vector<float>{0, 0, bad}, sums).code(),
                absl::StatusCode::kInvalidArgument);
    }
  }
}

TEST(LatticeTest, EveryInstructionSetGivesTheSameBits) {
  const std::vector<float> values = Gaussian(2 * kLatticeBlock + 13, 2);
  const std::vector<float> delta = Gaussian(values.size(), 0.1);
  const std::vector<float> steps = *LatticeSteps(values, 10);
  struct Results {
    std::vector<float> steps, rounded, sums;
    std::vector<int16_t> multiples;
    bool operator==(const Results&) const = default;
  };
  const auto compute = [&] {
    Results results{*LatticeSteps(values, 10), values, values, std::vector<int16_t>(values.size())};
    RoundToLattice(steps, results.rounded);
    EXPECT_TRUE(AddAndRound(steps, delta, results.sums).ok());
    EXPECT_TRUE(ToMultiples(steps, results.rounded, results.multiples).ok());
    std::vector<float> back(values.size());
    FromMultiples(steps, results.multiples, back);
    EXPECT_TRUE(SameBits(back, results.rounded));
    return results;
  };
  const Results expected = compute();
  ForEachInstructionSet(
      [&](const std::string& name) { EXPECT_TRUE(compute() == expected) << name; });
}

}  // namespace
}  // namespace fedwatt
