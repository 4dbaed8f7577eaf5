#include "common/codec/rotation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "common/base/rng.h"
#include "common/codec/eden_kernels.h"
#include "gtest/gtest.h"
#include "hwy/highway.h"
#include "hwy/targets.h"

namespace fedwatt {
namespace {

std::vector<float> SomeValues(size_t n) {
  Rng rng(RngKey{"rotation", n, "", "values", 1});
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(rng.Normal());
  return x;
}

double SquaredNorm(const std::vector<float>& x) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return sum;
}

// The definitions of rotation_kernels.h, word for word.
float Signed(float x, const std::vector<uint32_t>& signs, size_t i) {
  const uint32_t word = signs[16 * (i / 512) + i % 16];
  return (word >> (31 - (i / 16) % 32) & 1) != 0 ? -x : x;
}

void Butterflies(size_t step, std::vector<float>* x) {
  for (size_t i = 0; i < x->size(); ++i) {
    if ((i & step) != 0) continue;
    const float a = (*x)[i];
    const float b = (*x)[i + step];
    (*x)[i] = a + b;
    (*x)[i + step] = a - b;
  }
}

std::vector<float> PlainUp(std::vector<float> x, const std::vector<uint32_t>& signs) {
  for (size_t i = 0; i < x.size(); ++i) x[i] = Signed(x[i], signs, i);
  for (size_t step = 1; step < x.size(); step *= 2) Butterflies(step, &x);
  return x;
}

std::vector<float> PlainDown(std::vector<float> x, const std::vector<uint32_t>& signs,
                             float scale) {
  for (size_t step = x.size() / 2; step > 0; step /= 2) Butterflies(step, &x);
  for (size_t i = 0; i < x.size(); ++i) x[i] = Signed(scale * x[i], signs, i);
  return x;
}

double PlainSum(const std::vector<float>& terms) {
  double sums[16] = {};
  for (size_t begin = 0; begin < terms.size(); begin += 256) {
    float lanes[16] = {};
    for (size_t i = begin; i < std::min(terms.size(), begin + 256); ++i) lanes[i % 16] += terms[i];
    for (size_t lane = 0; lane < 16; ++lane) sums[lane] += static_cast<double>(lanes[lane]);
  }
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

std::vector<int64_t> Targets() {
  std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  targets.push_back(HWY_STATIC_TARGET);
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  return targets;
}

class RotationBitsTest : public testing::TestWithParam<int64_t> {
 protected:
  RotationBitsTest() {
    hwy::SetSupportedTargetsForTest(GetParam());
    hwy::GetChosenTarget().Update(GetParam());
  }
  ~RotationBitsTest() override {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
  }

  static std::vector<uint32_t> Signs(size_t n) {
    std::vector<uint32_t> words(std::max(SignWords(n), kSignWordsUnit));
    SignKernel(0x123456789abcdef0, 0xfedcba9876543210, 512, words.data(), words.size());
    return words;
  }
};

TEST_P(RotationBitsTest, SignsAreThoseOfTheGenerator) {
  Rng rng(Rng::State{0x123456789abcdef0, 0xfedcba9876543210, 4 * 512});
  for (const uint32_t word : Signs(kMaxRotation)) ASSERT_EQ(word, rng.NextU32());
  uint32_t words[kSignWordsUnit];
  constexpr uint64_t kFarBlock = uint64_t{5} << 40;
  SignKernel(1, 2, kFarBlock, words, kSignWordsUnit);
  Rng far(Rng::State{1, 2, 4 * kFarBlock});
  for (const uint32_t word : words) ASSERT_EQ(word, far.NextU32());
}

TEST_P(RotationBitsTest, TransformsAsPlainCode) {
  for (size_t n = kMinRotation; n <= kMaxRotation; n *= 2) {
    const std::vector<float> x = SomeValues(n);
    const std::vector<uint32_t> signs = Signs(n);
    std::vector<float> up(n);
    HadamardUpKernel(x.data(), signs.data(), up.data(), n);
    ASSERT_EQ(up, PlainUp(x, signs)) << n;
    std::vector<float> down = x;
    HadamardDownKernel(down.data(), signs.data(), 0.3f, n);
    ASSERT_EQ(down, PlainDown(x, signs, 0.3f)) << n;
  }
}

TEST_P(RotationBitsTest, QuantisesAsPlainCode) {
  for (const size_t n : {16, 240, 256, 272, 4096}) {
    constexpr float kGain = 2.7f;
    std::vector<float> x = SomeValues(n);
    x[1] = 0.5f / kGain;  // halfway
    std::vector<int16_t> q(n);
    const double sum = QuantizeKernel(x.data(), kGain, q.data(), n);
    std::vector<float> terms(n);
    std::vector<float> values(n);
    ToFloatKernel(q.data(), values.data(), n);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(q[i], std::nearbyint(x[i] * kGain));
      ASSERT_EQ(values[i], static_cast<float>(q[i]));
      terms[i] = values[i] * (x[i] * kGain);
    }
    EXPECT_EQ(std::bit_cast<uint64_t>(sum), std::bit_cast<uint64_t>(PlainSum(terms))) << n;
    for (size_t i = 0; i < n; ++i) terms[i] = values[i] * x[i];
    EXPECT_EQ(std::bit_cast<uint64_t>(DotKernel(values.data(), x.data(), n)),
              std::bit_cast<uint64_t>(PlainSum(terms)));
  }
}

INSTANTIATE_TEST_SUITE_P(Machine, RotationBitsTest, testing::ValuesIn(Targets()),
                         [](const auto& info) { return hwy::TargetName(info.param); });

TEST(RotationTest, KeepsTheNormAndTurnsBack) {
  Rotation rotation({11, 12});
  for (size_t n = kMinRotation; n <= kMaxRotation; n *= 4) {
    const std::vector<float> x = SomeValues(n);
    std::vector<float> r(n);
    rotation.Forward(3, x, r);
    const double scale = static_cast<double>(n);
    EXPECT_NEAR(SquaredNorm(r) / (scale * scale * SquaredNorm(x)), 1, 1e-5);
    rotation.Inverse(3, static_cast<float>(1 / (scale * scale)), r);
    for (size_t i = 0; i < n; ++i) ASSERT_NEAR(r[i], x[i], 1e-5) << n;
  }
}

TEST(RotationTest, PiecesAndSeedsDiffer) {
  const std::vector<float> x = SomeValues(256);
  const auto rotated = [&x](RotationSeed seed, uint64_t piece) {
    std::vector<float> r(x.size());
    Rotation(seed).Forward(piece, x, r);
    return r;
  };
  EXPECT_EQ(rotated({1, 2}, 0), rotated({1, 2}, 0));
  EXPECT_NE(rotated({1, 2}, 0), rotated({1, 2}, 1));
  EXPECT_NE(rotated({1, 2}, 0), rotated({2, 2}, 0));
  EXPECT_NE(rotated({1, 2}, 0), rotated({1, 3}, 0));
}

// After one pass two spikes would give only three values: 0 and +-2 / sqrt(d).
TEST(RotationTest, SpikesComeOutGaussian) {
  for (const std::vector<size_t>& at : {std::vector<size_t>{5}, std::vector<size_t>{0, 1}}) {
    std::vector<float> x(kMaxRotation);
    for (const size_t i : at) x[i] = 1;
    std::vector<float> r(x.size());
    Rotation({7, 7}).Forward(0, x, r);
    const double unit = std::sqrt(SquaredNorm(r) / static_cast<double>(r.size()));
    size_t within = 0;
    double fourth = 0;
    for (const float v : r) {
      const double z = static_cast<double>(v) / unit;
      within += std::fabs(z) < 1 ? 1 : 0;
      fourth += z * z * z * z / static_cast<double>(r.size());
    }
    EXPECT_NEAR(static_cast<double>(within) / static_cast<double>(r.size()), 0.6827, 0.02);
    EXPECT_NEAR(fourth, 3, 0.15);
  }
}

}  // namespace
}  // namespace fedwatt
