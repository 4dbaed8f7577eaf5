#include "common/codec/threshold.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "gtest/gtest.h"
#include "tests/common/codec/instruction_sets.h"

namespace fedwatt {
namespace {

// By sorting everything.
std::vector<uint64_t> Expected(const std::vector<float>& values, uint64_t k) {
  std::vector<uint64_t> order(values.size());
  std::iota(order.begin(), order.end(), uint64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](uint64_t a, uint64_t b) {
    return std::fabs(values[a]) > std::fabs(values[b]);
  });
  order.resize(k);
  std::erase_if(order, [&](uint64_t i) { return values[i] == 0; });
  std::sort(order.begin(), order.end());
  return order;
}

void ExpectLargest(const std::vector<float>& values, uint64_t k, const std::string& what) {
  const std::vector<uint64_t> expected = Expected(values, k);
  EXPECT_EQ(LargestMagnitudes(values, k), expected) << what << ", k = " << k;
  if (k == 0 || expected.size() < k) return;
  float least = std::numeric_limits<float>::infinity();
  for (const uint64_t i : expected) least = std::min(least, std::fabs(values[i]));
  const auto above =
      std::count_if(values.begin(), values.end(), [&](float v) { return std::fabs(v) > least; });
  const MagnitudeThreshold threshold = FindThreshold(values, k);
  EXPECT_EQ(threshold.bits, std::bit_cast<uint32_t>(least)) << what << ", k = " << k;
  EXPECT_EQ(threshold.above, static_cast<uint64_t>(above)) << what << ", k = " << k;
}

std::vector<float> Gaussian(size_t n) {
  Rng rng(RngKey{"threshold", 0, "", "gaussian", 1});
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.Normal());
  return values;
}

TEST(ThresholdTest, FindsTheLargestOfAnyNumber) {
  for (const size_t n : {1, 2, 3, 15, 100, 4097, 20'000}) {
    const std::vector<float> values = Gaussian(n);
    for (const uint64_t k : {size_t{0}, size_t{1}, n / 100, n / 3, n - 1, n}) {
      ExpectLargest(values, k, std::to_string(n) + " Gaussian values");
    }
  }
}

// Long enough for a sample to be asked.
TEST(ThresholdTest, FindsTheLargestOfMany) {
  std::vector<float> values = Gaussian(200'000);
  for (const uint64_t k : {1, 20, 200, 2000, 6250, 6251, 100'000}) {
    ExpectLargest(values, k, "many Gaussian values");
  }
  for (size_t i = 0; i < values.size(); i += 1000) values[i] *= 1e6f;
  for (const uint64_t k : {100, 200, 201, 2000}) ExpectLargest(values, k, "spikes");
}

// 200,000 values are sampled every 24th.
TEST(ThresholdTest, FindsTheLargestWhereASampleMisleads) {
  std::vector<float> high(200'000, 0.5f);
  std::vector<float> low(200'000, 0.5f);
  for (size_t i = 0; i < high.size(); ++i) {
    if (i % 24 == 0) high[i] = 2.0f;
    low[i] = i % 24 == 0 ? 0.25f : 1.0f + static_cast<float>(i) * 1e-6f;
  }
  for (const uint64_t k : {1, 500, 6000}) {
    ExpectLargest(high, k, "sampled ones are larger");
    ExpectLargest(low, k, "sampled ones are smaller");
  }
}

TEST(ThresholdTest, TakesTheFirstOfEqualOnes) {
  for (const size_t n : {100, 5000, 200'000}) {
    std::vector<float> values(n, -1.5f);
    ExpectLargest(values, n / 40, "all alike");
    values[n / 2] = 2.0f;
    ExpectLargest(values, n / 40, "one above");
    for (size_t i = 0; i < n; i += 2) values[i] = 1.5f;
    ExpectLargest(values, n / 40, "either sign");
  }
}

TEST(ThresholdTest, LeavesZerosOut) {
  EXPECT_TRUE(LargestMagnitudes(std::vector<float>(100, 0.0f), 10).empty());
  EXPECT_TRUE(LargestMagnitudes(std::vector<float>(100, -0.0f), 100).empty());
  std::vector<float> values(200'000, 0.0f);
  values[7] = 1e-45f;
  values[199'999] = -3;
  EXPECT_EQ(LargestMagnitudes(values, 100), (std::vector<uint64_t>{7, 199'999}));
}

// Values that differ in their lowest bits only, and in the exponent only.
TEST(ThresholdTest, TellsNeighboursApart) {
  std::vector<float> close(3000);
  std::vector<float> apart(254);
  for (size_t i = 0; i < close.size(); ++i) {
    close[i] = std::bit_cast<float>(0x3f800000 + static_cast<uint32_t>(i * 7919 % 3000));
  }
  for (size_t i = 0; i < apart.size(); ++i) {
    apart[i] = std::bit_cast<float>(static_cast<uint32_t>(i * 101 % 254 + 1) << 23);
  }
  for (const uint64_t k : {1, 17, 250}) {
    ExpectLargest(close, k, "close");
    ExpectLargest(apart, k, "apart");
  }
  ExpectLargest({std::numeric_limits<float>::max(), -1e-45f, 1.0f}, 2, "extremes");
}

TEST(ThresholdTest, EveryInstructionSetFindsTheSame) {
  const std::vector<float> values = Gaussian(200'003);
  ForEachInstructionSet([&](const char* name) {
    ExpectLargest(values, 2000, name);
    ExpectLargest(values, 50'000, name);
  });
}

}  // namespace
}  // namespace fedwatt
