#include "server/selectors/portable_math.h"

#include <gtest/gtest.h>

#include <cmath>

namespace fedwatt {
namespace {

TEST(PortableMathTest, AgreesWithTheLibrary) {
  for (double x = 1e-12; x < 1e12; x *= 1.37) {
    EXPECT_NEAR(PortableLn(x), std::log(x), 1e-14 * (1 + std::abs(std::log(x)))) << x;
    for (const double y : {-3.5, -1.0, 0.25, 0.5, 1.0, 2.0, 3.7}) {
      EXPECT_NEAR(PortablePow(x, y) / std::pow(x, y), 1, 2e-13) << x << "^" << y;
    }
  }
  for (double x = -40; x < 40; x += 0.173) {
    EXPECT_NEAR(PortableExp2(x) / std::exp2(x), 1, 1e-14) << x;
  }
}

TEST(PortableMathTest, IsExactWhereTheResultIs) {
  EXPECT_EQ(PortableLn(1), 0);
  EXPECT_EQ(PortableExp2(0), 1);
  EXPECT_EQ(PortableExp2(-7), 1.0 / 128);
  EXPECT_EQ(PortablePow(3, 2), 9);
  EXPECT_EQ(PortablePow(0.3, 1), 0.3);
  EXPECT_EQ(PortablePow(5, 0), 1);
}

TEST(PortableMathTest, StaysFinite) {
  EXPECT_EQ(PortablePow(0, 3), 0);
  EXPECT_EQ(PortablePow(0, 0), 1);
  EXPECT_TRUE(std::isfinite(PortablePow(1e300, 8)));
  EXPECT_GT(PortablePow(1e-300, 8), 0);
  EXPECT_NEAR(PortableLn(5e-324), std::log(5e-324), 1e-10);
}

// What another machine has to compute, to the bit.
TEST(PortableMathTest, GoldenBits) {
  EXPECT_EQ(PortableLn(10.0), 0x1.26bb1bbb55515p+1);
  EXPECT_EQ(PortablePow(0.7, 0.5), 0x1.ac5eb3f7ab2f8p-1);
}

}  // namespace
}  // namespace fedwatt
