// Equal bits on every instruction set that this machine has, against plain C++.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "common/base/rng.h"
#include "common/tensor/fixed_point.h"
#include "gtest/gtest.h"
#include "hwy/highway.h"
#include "hwy/targets.h"

namespace fedwatt {
namespace {

std::vector<int64_t> Targets() {
  std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  targets.push_back(HWY_STATIC_TARGET);
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  return targets;
}

class InstructionSetsTest : public testing::TestWithParam<int64_t> {
 protected:
  InstructionSetsTest() {
    hwy::SetSupportedTargetsForTest(GetParam());
    hwy::GetChosenTarget().Update(GetParam());
    Rng rng(RngKey{"tensor", 0, "", "instruction-sets", 7});
    for (int i = 0; i < 300; ++i) {
      values_.push_back(static_cast<float>(rng.Normal() * std::ldexp(1.0, i % 40 - 34)));
    }
    values_[0] = 0.5f / 3000;
    values_[1] = -0.0f;
    values_[2] = 1e-45f;
  }
  ~InstructionSetsTest() override {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
  }

  std::vector<float> values_;
};

TEST_P(InstructionSetsTest, FoldsAsPlainCode) {
  constexpr double kFactor = 3000.7;
  for (size_t begin = 0; begin < 5; ++begin) {  // unaligned too
    for (size_t n = 0; begin + n <= 70; ++n) {
      const auto x = std::span(values_).subspan(begin, n);
      std::vector<int64_t> acc(n + begin, 11);
      std::vector<int64_t> expected(n + begin, 11);
      for (size_t i = 0; i < n; ++i) {
        expected[begin + i] +=
            static_cast<int64_t>(std::nearbyint(static_cast<double>(x[i]) * kFactor));
      }
      FoldF32(x, kFactor, std::span(acc).subspan(begin));
      ASSERT_EQ(acc, expected) << hwy::TargetName(GetParam()) << " n = " << n;
    }
  }
}

TEST_P(InstructionSetsTest, AddsAsPlainCode) {
  for (size_t n = 0; n <= 37; ++n) {
    std::vector<int64_t> acc(n);
    std::vector<int64_t> other(n);
    std::vector<int64_t> expected(n);
    for (size_t i = 0; i < n; ++i) {
      acc[i] = static_cast<int64_t>(i) << 40;
      other[i] = -static_cast<int64_t>(i * 1'000'003);
      expected[i] = acc[i] + other[i];
    }
    AddI64(other, acc);
    EXPECT_EQ(acc, expected);
  }
}

TEST_P(InstructionSetsTest, ScansAsPlainCode) {
  for (size_t begin = 0; begin < 5; ++begin) {
    for (size_t n = 0; begin + n <= 290; n += 7) {
      const auto x = std::span(values_).subspan(begin, n);
      double lanes[16] = {};
      float max_abs = 0;
      for (size_t i = 0; i < n; ++i) {
        lanes[i % 16] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        max_abs = std::max(max_abs, std::fabs(x[i]));
      }
      double sum = 0;
      for (const double lane : lanes) sum += lane;
      F32Scanner scanner;
      scanner.Add(x);
      const F32Stats stats = scanner.Stats();
      ASSERT_EQ(std::bit_cast<uint64_t>(stats.sum_squares), std::bit_cast<uint64_t>(sum)) << n;
      ASSERT_EQ(stats.max_abs, max_abs) << n;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Machine, InstructionSetsTest, testing::ValuesIn(Targets()),
                         [](const auto& info) { return hwy::TargetName(info.param); });

}  // namespace
}  // namespace fedwatt
