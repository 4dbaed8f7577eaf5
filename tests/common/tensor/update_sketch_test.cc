#include "common/tensor/update_sketch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/base/rng.h"

namespace fedwatt {
namespace {

std::vector<float> Noise(size_t size, uint64_t seed) {
  Rng rng(RngKey{.job = "sketch", .seed = seed});
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  return values;
}

UpdateSketch SketchOf(std::span<const float> values) {
  UpdateSketcher sketcher;
  sketcher.Add(0, values);
  return sketcher.Finish();
}

double Cosine(const UpdateSketch& a, const UpdateSketch& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

TEST(UpdateSketch, HasUnitLengthWhateverTheUpdatesLength) {
  const std::vector<float> update = Noise(10'000, 1);
  std::vector<float> longer = update;
  for (float& value : longer) value *= 8;
  const UpdateSketch sketch = SketchOf(update);
  ASSERT_EQ(sketch.size(), kSketchSize);
  EXPECT_NEAR(Cosine(sketch, sketch), 1, 1e-6);
  EXPECT_EQ(SketchOf(longer), sketch);
}

TEST(UpdateSketch, BlocksGiveWhatTheWholeGives) {
  const std::vector<float> update = Noise(1000, 2);
  UpdateSketcher sketcher;
  const std::span<const float> all(update);
  sketcher.Add(0, all.first(313));
  sketcher.Add(313, all.subspan(313));
  EXPECT_EQ(sketcher.Finish(), SketchOf(update));
}

// The cosine of two directions, give or take 1 / sqrt(kSketchSize).
TEST(UpdateSketch, LikeUpdatesAreAlikeAndOthersAreNot) {
  const std::vector<float> a = Noise(20'000, 3);
  const std::vector<float> b = Noise(20'000, 4);
  std::vector<float> near = a;
  for (size_t i = 0; i < near.size(); ++i) near[i] += 0.2f * b[i];
  EXPECT_GT(Cosine(SketchOf(a), SketchOf(near)), 0.9);
  EXPECT_LT(std::abs(Cosine(SketchOf(a), SketchOf(b))), 0.5);
  std::vector<float> opposite = a;
  for (float& value : opposite) value = -value;
  EXPECT_NEAR(Cosine(SketchOf(a), SketchOf(opposite)), -1, 1e-6);
}

TEST(UpdateSketch, OfNothingThereIsNone) {
  EXPECT_TRUE(SketchOf(std::vector<float>(100)).empty());
  EXPECT_TRUE(SketchOf(std::vector<float>{1, std::numeric_limits<float>::infinity()}).empty());
  EXPECT_TRUE(UpdateSketcher().Finish().empty());
}

}  // namespace
}  // namespace fedwatt
