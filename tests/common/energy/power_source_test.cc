#include "common/energy/power_source.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class PowerSourceTest : public testing::Test {
 protected:
  PowerSourceTest()
      : source_(MakePowerSource({.label = "rail",
                                 .read_w = [this] { return watts_; },
                                 .update_us = 100'000,
                                 .max_watts = 50})) {}
  void ReadAfterMs(int64_t ms, absl::StatusOr<double> watts) {
    watts_ = std::move(watts);
    source_->Read(now_us_ += ms * 1000);
  }
  const EnergyTotal& total() const { return source_->total(); }

  absl::StatusOr<double> watts_ = 0.0;
  int64_t now_us_ = 0;
  const std::unique_ptr<EnergySource> source_;
};

TEST_F(PowerSourceTest, IntegratesByTrapezoids) {
  ReadAfterMs(0, 10.0);
  ReadAfterMs(100, 20.0);
  ReadAfterMs(200, 20.0);
  EXPECT_DOUBLE_EQ(total().energy_uj, 15 * 100e3 + 20 * 200e3);
  EXPECT_EQ(total().seen_us, 300'000);
}

TEST_F(PowerSourceTest, TheSpreadBetweenReadingsIsItsUncertainty) {
  ReadAfterMs(0, 10.0);
  ReadAfterMs(100, 10.0);
  EXPECT_EQ(total().variance_uj2, 0);
  ReadAfterMs(100, 22.0);
  EXPECT_DOUBLE_EQ(total().variance_uj2, (12 * 100e3) * (12 * 100e3) / 12);
}

TEST_F(PowerSourceTest, AFailedReadingLeavesAGapOnBothSides) {
  ReadAfterMs(0, 10.0);
  ReadAfterMs(100, absl::UnavailableError("EIO"));
  ReadAfterMs(100, 10.0);
  ReadAfterMs(100, 10.0);
  EXPECT_EQ(total().seen_us, 100'000);
  EXPECT_DOUBLE_EQ(total().energy_uj, 10 * 100e3);
  EXPECT_EQ(total().gap_reason, "EIO");
}

TEST_F(PowerSourceTest, WhatNobodyReadForLongWasNotSeen) {
  ReadAfterMs(0, 10.0);
  ReadAfterMs(1001, 10.0);
  EXPECT_EQ(total().seen_us, 0);
  EXPECT_THAT(total().gap_reason, HasSubstr("nobody read it"));
}

TEST_F(PowerSourceTest, ChargingBreaks) {
  ReadAfterMs(0, 10.0);
  ReadAfterMs(100, absl::FailedPreconditionError("charging"));
  EXPECT_EQ(total().breaks, 1u);
  EXPECT_EQ(total().break_reason, "charging");
}

TEST_F(PowerSourceTest, WattsThatCannotBeAreFailedReadings) {
  ReadAfterMs(0, 10.0);
  for (const double watts : {-1.0, 51.0, 1e15, std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity()}) {
    ReadAfterMs(100, watts);
    EXPECT_EQ(total().energy_uj, 0) << watts;
    EXPECT_THAT(total().gap_reason, HasSubstr("between 0 and 50")) << watts;
  }
}

}  // namespace
}  // namespace fedwatt
