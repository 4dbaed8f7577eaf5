#include "common/codec/centroids.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "common/base/rng.h"
#include "common/codec/centroid_table.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

double Density(double z) { return std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi); }
double Tail(double z) { return std::erfc(z / std::numbers::sqrt2) / 2; }

// Lloyd's iteration on the half-normal, over-relaxed, from evenly spread values.
std::vector<double> LloydMax(size_t count) {
  std::vector<double> c(count);
  for (size_t i = 0; i < count; ++i) {
    c[i] = 4 * (static_cast<double>(i) + 0.5) / static_cast<double>(count);
  }
  const double step = count < 4 ? 1.0 : 1.9;
  for (double change = 1; change > 1e-11;) {
    change = 0;
    double low_density = Density(0);
    double low_tail = Tail(0);
    for (size_t i = 0; i < count; ++i) {
      const bool last = i + 1 == count;
      const double high = last ? 0 : (c[i] + c[i + 1]) / 2;
      const double density = last ? 0 : Density(high);
      const double tail = last ? 0 : Tail(high);
      const double move = (low_density - density) / (low_tail - tail) - c[i];
      change = std::max(change, std::fabs(move));
      c[i] += step * move;
      low_density = density;
      low_tail = tail;
    }
  }
  return c;
}

TEST(CentroidsTest, AreTheFixedPointOfLloydsIteration) {
  for (int bits = 1; bits <= kMaxCentroidBits; ++bits) {
    const std::span<const float> centroids = HalfNormalCentroids(bits);
    const std::vector<double> expected = LloydMax(centroids.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(centroids[i]), expected[i], 1e-6) << bits << " bits, " << i;
    }
  }
}

TEST(CentroidsTest, AreThoseOfTheLiterature) {
  const std::vector<std::vector<double>> known = {
      {0.797885},
      {0.452780, 1.510418},
      {0.245094, 0.756005, 1.343909, 2.151946},
      {0.128395, 0.388048, 0.656759, 0.942340, 1.256231, 1.618046, 2.069017, 2.732589}};
  for (size_t bits = 1; bits <= known.size(); ++bits) {
    const std::span<const float> centroids = HalfNormalCentroids(static_cast<int>(bits));
    ASSERT_EQ(centroids.size(), known[bits - 1].size());
    for (size_t i = 0; i < centroids.size(); ++i) {
      EXPECT_NEAR(static_cast<double>(centroids[i]), known[bits - 1][i], 1.5e-6);
    }
  }
}

TEST(CentroidTableTest, QuantisesToTheNearestCentroid) {
  Rng rng(RngKey{"centroids", 0, "", "values", 1});
  constexpr float kGain = 0.5f;
  for (int bits = 1; bits <= kMaxCentroidBits; ++bits) {
    std::vector<float> all;
    for (const float c : HalfNormalCentroids(bits)) all.insert(all.end(), {c, -c});
    std::vector<float> x(4000);
    for (float& v : x) v = static_cast<float>(3 * rng.Normal());
    x[0] = 1e6f;
    x[1] = -1e6f;
    std::vector<uint8_t> packed(x.size() / IndicesPerByte(bits));
    CentroidQuantizer(bits).Quantize(x, kGain, packed);
    const CentroidLookup lookup(bits);
    EXPECT_TRUE(lookup.Valid(packed));
    std::vector<float> values(x.size());
    lookup.Values(packed, values);
    for (size_t i = 0; i < x.size(); ++i) {
      float nearest = std::numeric_limits<float>::infinity();
      for (const float c : all) nearest = std::min(nearest, std::fabs(x[i] * kGain - c));
      ASSERT_LE(std::fabs(x[i] * kGain - values[i]), nearest + 1e-6f) << bits << " bits";
    }
  }
}

}  // namespace
}  // namespace fedwatt
