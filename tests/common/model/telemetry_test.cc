#include "common/model/telemetry.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace fedwatt {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(TelemetryTest, AChargeIsToldInEighths) {
  EXPECT_EQ(ChargeBucket(0), 0);
  EXPECT_EQ(ChargeBucket(0.1249), 0);
  EXPECT_EQ(ChargeBucket(0.125), 1);
  EXPECT_EQ(ChargeBucket(0.99), 7);
  EXPECT_EQ(ChargeBucket(1), 7);
  EXPECT_DOUBLE_EQ(ChargeOf(0), 0.0625);
  EXPECT_DOUBLE_EQ(ChargeOf(7), 0.9375);
}

TEST(TelemetryTest, EdgesOfTheOthersArePowers) {
  EXPECT_EQ(CapacityBucket(1), 0);
  EXPECT_EQ(CapacityBucket(2.5), 1);
  EXPECT_EQ(CapacityBucket(15), 3) << "a phone";
  EXPECT_EQ(CapacityBucket(60), 5) << "a laptop";
  EXPECT_EQ(CapacityBucket(160), 7);
  EXPECT_EQ(CapacityBucket(1e6), 7);
  EXPECT_EQ(LinkBucket(0), 0);
  EXPECT_EQ(LinkBucket(16 * 1024), 1);
  EXPECT_EQ(LinkBucket(1e6), 3);
  EXPECT_EQ(LinkBucket(1e12), 7);
  EXPECT_EQ(LossBucket(0), 0);
  EXPECT_EQ(LossBucket(2.3), 5);
  EXPECT_EQ(LossBucket(1e9), 7);
}

TEST(TelemetryTest, EveryBucketStandsForAFigureOfItsOwn) {
  for (uint8_t bucket = 0; bucket < kTelemetryBuckets; ++bucket) {
    EXPECT_EQ(ChargeBucket(ChargeOf(bucket)), bucket);
    EXPECT_EQ(CapacityBucket(CapacityWhOf(bucket)), bucket);
    EXPECT_EQ(LinkBucket(LinkBytesPerSecondOf(bucket)), bucket);
    EXPECT_EQ(LossBucket(LossOf(bucket)), bucket);
  }
  EXPECT_EQ(CapacityWhOf(200), CapacityWhOf(7)) << "no bucket beyond the last";
  EXPECT_EQ(ChargeOf(200), ChargeOf(7));
}

TEST(TelemetryTest, WhatIsNoFigureIsUnknown) {
  for (const double bad : {kNan, kInfinity, -kInfinity, -1.0}) {
    EXPECT_FALSE(ChargeBucket(bad));
    EXPECT_FALSE(CapacityBucket(bad));
    EXPECT_FALSE(LinkBucket(bad));
    EXPECT_FALSE(LossBucket(bad));
  }
  EXPECT_FALSE(ChargeBucket(1.01));
  EXPECT_FALSE(CapacityBucket(0)) << "a battery of no capacity is not known to be empty";
}

TEST(TelemetryTest, WithoutConsentNothingIsTold) {
  const DeviceTelemetry all{true, 1, 2, 3, 4};
  EXPECT_EQ(AtLevel(all, 0), DeviceTelemetry());
  for (const uint32_t level : {1u, 2u, 3u}) EXPECT_EQ(AtLevel(all, level), all);
}

}  // namespace
}  // namespace fedwatt
