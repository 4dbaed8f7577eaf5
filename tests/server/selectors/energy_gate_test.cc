#include "server/selectors/energy_gate.h"

#include <gtest/gtest.h>

#include <limits>

namespace fedwatt {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

EnergyGate Gate() { return EnergyGate({{"battery_floor", 0.2}, {"drain_watts", 0.5}}); }

// A phone of about 14 Wh (bucket 3) with charge bucket `charge`.
Candidate Phone(uint8_t charge) {
  Candidate phone;
  phone.telemetry = {false, charge, 3, {}, {}};
  return phone;
}

TEST(EnergyGateTest, ABatteryAtItsFloorIsOut) {
  EXPECT_STREQ(Gate().WhyNot(Phone(0)), "at or below selector.params.battery_floor");
  EXPECT_STREQ(Gate().WhyNot(Phone(1)), "at or below selector.params.battery_floor");
  EXPECT_EQ(Gate().WhyNot(Phone(2)), nullptr) << "0.3125";
}

TEST(EnergyGateTest, ExternalPowerPassesWhateverTheCharge) {
  Candidate phone = Phone(0);
  phone.telemetry.charging = true;
  EXPECT_EQ(Gate().WhyNot(phone), nullptr);
  EXPECT_EQ(Gate().ShareLeft(phone), 1);
}

// (0.3125 - 0.2) * 10 sqrt 2 Wh * 3600 = 5728 J.
TEST(EnergyGateTest, TheWorkItsDoubtAndTheDrainMustFit) {
  Candidate phone = Phone(2);
  EXPECT_NEAR(*Gate().AvailableJoules(phone), 5727.6, 0.1);
  phone.cost = CostPrediction{5000, 100, 600, 0};
  EXPECT_EQ(Gate().WhyNot(phone), nullptr) << "5000 + 200 + 300";
  EXPECT_NEAR(*Gate().ShareLeft(phone), (5727.6 - 5000) / 5727.6, 1e-4);
  phone.cost->joules_sigma = 300;
  EXPECT_STREQ(Gate().WhyNot(phone), "without the charge that the work is predicted to take");
  phone.cost = CostPrediction{5000, 100, 2000, 0};
  EXPECT_NE(Gate().WhyNot(phone), nullptr) << "the drain of 2000 s";
}

TEST(EnergyGateTest, WhatIsUnknownIsNotZero) {
  EXPECT_EQ(Gate().WhyNot(Candidate()), nullptr) << "its own gate decides";
  Candidate no_capacity = Phone(2);
  no_capacity.telemetry.capacity.reset();
  no_capacity.cost = CostPrediction{1e6, 0, 60, 0};
  EXPECT_EQ(Gate().WhyNot(no_capacity), nullptr);
  EXPECT_FALSE(Gate().ShareLeft(no_capacity));
  Candidate no_cost = Phone(2);
  EXPECT_EQ(Gate().WhyNot(no_cost), nullptr);
  EXPECT_FALSE(Gate().ShareLeft(no_cost));
}

TEST(EnergyGateTest, FiguresThatCannotBeTrueAreNoPrediction) {
  Candidate phone = Phone(2);
  for (const double bad : {kNan, -1.0, 1e15, std::numeric_limits<double>::infinity()}) {
    phone.cost = CostPrediction{bad, 0, 60, 0};
    EXPECT_FALSE(BelievableCost(phone));
    EXPECT_EQ(Gate().WhyNot(phone), nullptr);
    phone.cost = CostPrediction{10, 0, bad, 0};
    EXPECT_FALSE(BelievableCost(phone));
    phone.cost = CostPrediction{10, bad, 60, bad};
    EXPECT_EQ(BelievableCost(phone)->joules_sigma, 0);
  }
}

}  // namespace
}  // namespace fedwatt
