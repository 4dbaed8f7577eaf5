#include "common/tensor/half_float.h"

#include <bit>
#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace fedwatt {
namespace {

TEST(HalfFloatTest, EveryF16SurvivesTheWayThereAndBack) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = F16ToF32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(value)))) << bits;
    } else {
      EXPECT_EQ(F32ToF16(value), bits);
    }
  }
}

TEST(HalfFloatTest, EveryBF16SurvivesTheWayThereAndBack) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = BF16ToF32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(BF16ToF32(F32ToBF16(value)))) << bits;
    } else {
      EXPECT_EQ(F32ToBF16(value), bits);
    }
  }
}

TEST(HalfFloatTest, KnownF16Values) {
  EXPECT_EQ(F16ToF32(0x3c00), 1.0f);
  EXPECT_EQ(F16ToF32(0xc000), -2.0f);
  EXPECT_EQ(F16ToF32(0x7bff), 65504.0f);
  EXPECT_EQ(F16ToF32(0x0001), std::ldexp(1.0f, -24));
}

TEST(HalfFloatTest, RoundsToNearestEven) {
  EXPECT_EQ(F32ToF16(2049.0f), F32ToF16(2048.0f));  // half-way, 2048 is even
  EXPECT_EQ(F32ToF16(2051.0f), F32ToF16(2052.0f));
  EXPECT_EQ(F32ToF16(std::ldexp(1.0f, -25)), 0);  // half of the least
  EXPECT_EQ(F32ToF16(std::ldexp(3.0f, -25)), 2);
  EXPECT_EQ(F32ToF16(65519.0f), 0x7bff);
  EXPECT_EQ(F32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(F32ToBF16(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace fedwatt
