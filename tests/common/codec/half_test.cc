// f16 and bf16: the same bits as the scalar conversions, on every instruction set.

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "common/codec/half_kernels.h"
#include "common/tensor/half_float.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/codec/instruction_sets.h"

namespace fedwatt {
namespace {

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<uint32_t>(v));
  return bits;
}

// Around every value of either format, ties included, and the special ones.
std::vector<float> HardValues() {
  std::vector<float> values;
  for (uint32_t top = 0; top < 0x10000; top += 3) {
    for (const uint32_t low : {0x0000, 0x0fff, 0x1000, 0x1001, 0x3000, 0x7fff, 0x8000, 0xffff}) {
      values.push_back(std::bit_cast<float>(top << 16 | low));
    }
  }
  for (uint32_t half = 0; half < 0x7c00; ++half) {  // between two neighbours
    const double middle = (static_cast<double>(F16ToF32(static_cast<uint16_t>(half))) +
                           static_cast<double>(F16ToF32(static_cast<uint16_t>(half + 1)))) /
                          2;
    if (std::isfinite(middle)) values.push_back(static_cast<float>(-middle));
  }
  return values;
}

TEST(HalfKernelsTest, RoundsAsPlainCode) {
  const std::vector<float> values = HardValues();
  ForEachInstructionSet([&](const char* name) {
    std::vector<uint16_t> f16(values.size());
    std::vector<uint16_t> bf16(values.size());
    F32ToF16(values, f16.data());
    F32ToBF16(values, bf16.data());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(f16[i], F32ToF16(values[i])) << name << " " << std::hexfloat << values[i];
      ASSERT_EQ(bf16[i], F32ToBF16(values[i])) << name << " " << std::hexfloat << values[i];
    }
  });
}

TEST(HalfKernelsTest, WidensAsPlainCode) {
  std::vector<uint16_t> halves(0x10000);
  std::iota(halves.begin(), halves.end(), uint16_t{0});
  std::vector<float> expected(halves.size());
  std::vector<float> wide(halves.size());
  ForEachInstructionSet([&](const char* name) {
    F16ToF32(halves, wide.data());
    for (size_t i = 0; i < halves.size(); ++i) expected[i] = F16ToF32(halves[i]);
    EXPECT_EQ(Bits(wide), Bits(expected)) << name;
    BF16ToF32(halves, wide.data());
    for (size_t i = 0; i < halves.size(); ++i) expected[i] = BF16ToF32(halves[i]);
    EXPECT_EQ(Bits(wide), Bits(expected)) << name;
  });
}

TEST(HalfKernelsTest, TailsOfAnyLengthAreConverted) {
  const std::vector<float> values = {1,  -2, 3.5f, 1e-7f, 70'000, 0.1f, -0.0f, 9,  10,
                                     11, 12, 13,   14,    15,     16,   17,    18, 19};
  ForEachInstructionSet([&](const char* name) {
    for (size_t n = 0; n <= values.size(); ++n) {
      std::vector<uint16_t> out(values.size() + 1, 0xabcd);
      F32ToF16(std::span(values).first(n), out.data());
      for (size_t i = 0; i < n; ++i) EXPECT_EQ(out[i], F32ToF16(values[i])) << name;
      EXPECT_EQ(out[n], 0xabcd) << name << " writes behind the end";
    }
  });
}

TEST(F16CodecTest, RefusesWhatDoesNotFitByName) {
  const auto codec = *MakeCodec("f16");
  std::string encoded;
  const std::vector<float> most = {65'504.0f, -65'504.0f};
  EXPECT_TRUE(codec->Encode(most, CodecContext{}, &encoded).ok());
  const std::vector<float> more = {1.0f, -65'505.0f};
  const absl::Status status = codec->Encode(more, CodecContext{}, &encoded);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(testing::HasSubstr("f16: coordinate 1 is -65505"),
                             testing::HasSubstr("65504")));
}

TEST(BF16CodecTest, RefusesOnlyWhatWouldBecomeInfinite) {
  const auto codec = *MakeCodec("bf16");
  std::string encoded;
  const std::vector<float> most = {0x1.fep127f};
  EXPECT_TRUE(codec->Encode(most, CodecContext{}, &encoded).ok());
  const std::vector<float> more = {std::numeric_limits<float>::max()};
  EXPECT_FALSE(codec->Encode(more, CodecContext{}, &encoded).ok());
}

}  // namespace
}  // namespace fedwatt
