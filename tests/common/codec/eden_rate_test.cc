#include "common/codec/eden_rate.h"

#include "gtest/gtest.h"

namespace fedwatt {
namespace {

TEST(UniformRateTest, StepsAndErrorsAreThoseOfTheory) {
  struct {
    double bits, step, vnmse;
  } const known[] = {{0.5, 3.456, 1.613}, {1, 2.4216, 0.5347},  {2, 1.0824, 0.0976},
                     {3, 0.5224, 0.0227}, {4, 0.2590, 0.00559}, {8, 0.0161, 2.17e-5}};
  for (const auto& row : known) {
    const double step = UniformStepFor(row.bits);
    EXPECT_NEAR(step / row.step, 1, 3e-3);
    EXPECT_NEAR(RateOfUniformStep(step).entropy_bits, row.bits, 5e-4);
    EXPECT_NEAR(RateOfUniformStep(step).vnmse / row.vnmse, 1, 5e-3);
  }
}

TEST(UniformRateTest, EveryRateHasItsStep) {
  double last = 1e9;
  for (int eighths = 4; eighths <= 64; ++eighths) {
    const double bits = eighths / 8.0;
    const double step = UniformStepFor(bits);
    EXPECT_LT(step, last);
    EXPECT_NEAR(RateOfUniformStep(step).entropy_bits, bits, 5e-4) << bits;
    last = step;
  }
}

}  // namespace
}  // namespace fedwatt
