#include "server/prediction/cost_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace fedwatt {
namespace {

using testing::ElementsAre;

EnergySample Sample(Phase phase, EnergyScope scope, EnergyQuality quality, double joules) {
  EnergySample sample;
  sample.source = "meter";
  sample.phase = phase;
  sample.scope = scope;
  sample.quality = quality;
  sample.energy_uj = static_cast<int64_t>(joules * 1e6);
  sample.coverage = 1;
  return sample;
}

TEST(RecentRatesTest, TheMedianOfTheLastSeven) {
  RecentRates rates;
  EXPECT_EQ(rates.Median(), 0);
  EXPECT_EQ(rates.Sigma(), 0);
  for (const double rate : {100.0, 100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}) rates.Add(rate);
  EXPECT_EQ(rates.size(), RecentRates::kKept);
  EXPECT_THAT(rates.values(), ElementsAre(1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(rates.Median(), 4);
  EXPECT_DOUBLE_EQ(rates.Sigma(), 1.4826 * 2);
}

TEST(RecentRatesTest, OfAnEvenNumberTheMiddleTwo) {
  RecentRates rates;
  for (const double rate : {1.0, 9.0, 2.0, 4.0}) rates.Add(rate);
  EXPECT_EQ(rates.Median(), 3);
}

TEST(RecentRatesTest, ThreeLiesOfSevenMoveNothing) {
  RecentRates rates;
  for (const double rate : {1e15, 5.0, 5.0, 1e15, 5.0, 0.0, 5.0}) rates.Add(rate);
  EXPECT_EQ(rates.Median(), 5);
  EXPECT_EQ(rates.Sigma(), 0);
}

TEST(RecentRatesTest, WhatIsNoRateIsIgnored) {
  RecentRates rates;
  for (const double bad : {-1.0, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity(), 1e300}) {
    rates.Add(bad);
  }
  EXPECT_EQ(rates.size(), 0u);
}

TEST(RecentRatesTest, GoesOnWhereItsValuesEnd) {
  RecentRates one;
  for (int i = 0; i < 11; ++i) one.Add(i);
  RecentRates other(one.values());
  EXPECT_EQ(other, one);
  one.Add(42);
  other.Add(42);
  EXPECT_EQ(other.values(), one.values());
}

TEST(ClaimOfTest, EachPhaseCountsOnceByItsWidestFigure) {
  UpdateMetrics metrics;
  metrics.steps = 10;
  metrics.seconds_by_phase = {{"train", 8}, {"upload", 2}};
  const CostClaim claim =
      CostClaimOf(metrics,
                  {Sample(Phase::kTrain, EnergyScope::kPackage, EnergyQuality::kMeasured, 60),
                   Sample(Phase::kTrain, EnergyScope::kDevice, EnergyQuality::kMeasured, 100),
                   Sample(Phase::kTrain, EnergyScope::kProcess, EnergyQuality::kEstimated, 50),
                   Sample(Phase::kUpload, EnergyScope::kDevice, EnergyQuality::kEstimated, 5)},
                  "phone");
  EXPECT_EQ(claim.units, 10);
  EXPECT_NEAR(*claim.joules, 105, 1e-9);
  EXPECT_EQ(claim.joules_sigma, 0);
  EXPECT_EQ(claim.seconds, 10);
}

TEST(ClaimOfTest, OfOneScopeTheBetterQualityCounts) {
  const CostClaim claim =
      CostClaimOf({},
                  {Sample(Phase::kTrain, EnergyScope::kDevice, EnergyQuality::kEstimated, 70),
                   Sample(Phase::kTrain, EnergyScope::kDevice, EnergyQuality::kMeasured, 100)},
                  "");
  EXPECT_NEAR(*claim.joules, 100, 1e-9);
}

// A narrow meter does not make a cheap device.
TEST(ClaimOfTest, NarrowScopesAreScaledToTheDeviceWithTheirDoubt) {
  const auto claim = [](EnergyScope scope) {
    return CostClaimOf({}, {Sample(Phase::kTrain, scope, EnergyQuality::kMeasured, 100)},
                       "server-16");
  };
  EXPECT_NEAR(*claim(EnergyScope::kPackage).joules, 150, 1e-9);
  EXPECT_NEAR(claim(EnergyScope::kPackage).joules_sigma, 30, 1e-9);
  EXPECT_NEAR(*claim(EnergyScope::kBoard).joules, 110, 1e-9);
  EXPECT_GT(*claim(EnergyScope::kProcess).joules, *claim(EnergyScope::kPackage).joules);
  EXPECT_EQ(*claim(EnergyScope::kDevice).joules, 100);
  EXPECT_NE(FactorToDevice("phone", EnergyScope::kPackage).factor,
            FactorToDevice("server", EnergyScope::kPackage).factor);
}

TEST(ClaimOfTest, UnavailableIsNotZero) {
  EnergySample none = Sample(Phase::kTrain, EnergyScope::kDevice, EnergyQuality::kUnavailable, 5);
  EXPECT_FALSE(CostClaimOf({}, {none}, "").joules);
  none.quality = EnergyQuality::kMeasured;
  none.energy_uj.reset();
  EXPECT_FALSE(CostClaimOf({}, {none}, "").joules);
  none.energy_uj = -1;
  EXPECT_FALSE(CostClaimOf({}, {none}, "").joules);
  EXPECT_FALSE(
      CostClaimOf({}, {Sample(Phase::kUpload, EnergyScope::kDevice, EnergyQuality::kMeasured, 5)},
                  "")
          .joules)
      << "training was not metered";
  EXPECT_FALSE(CostClaimOf({}, {}, "").seconds);
}

TEST(ClaimOfTest, APartOfTheWindowIsScaledUpAndTooSmallAPartIsNone) {
  EnergySample sample = Sample(Phase::kTrain, EnergyScope::kDevice, EnergyQuality::kMeasured, 80);
  sample.coverage = 0.8;
  EXPECT_NEAR(*CostClaimOf({}, {sample}, "").joules, 100, 1e-9);
  sample.coverage = 0.4;
  EXPECT_FALSE(CostClaimOf({}, {sample}, "").joules);
}

TEST(AddClaimTest, KeepsRatesPerUnit) {
  CostHistory history;
  AddClaim({10, 50, 0, 20}, &history);
  AddClaim({20, {}, 0, 20}, &history);
  EXPECT_EQ(history.units, 20);
  EXPECT_THAT(history.joules.values(), ElementsAre(5));
  EXPECT_THAT(history.seconds.values(), ElementsAre(2, 1));
}

// A report leaves before its upload does, with an extrapolation of it that no meter covers.
TEST(CostClaimOfTest, AnExtrapolatedUploadCountsAsItIs) {
  const EnergySample train =
      Sample(Phase::kTrain, EnergyScope::kDevice, EnergyQuality::kMeasured, 10);
  EnergySample upload = Sample(Phase::kUpload, EnergyScope::kDevice, EnergyQuality::kEstimated, 3);
  upload.coverage = 0;
  EXPECT_DOUBLE_EQ(*CostClaimOf({}, {train, upload}, "phone").joules, 13);
  upload.quality = EnergyQuality::kMeasured;
  EXPECT_DOUBLE_EQ(*CostClaimOf({}, {train, upload}, "phone").joules, 10)
      << "a meter that saw nothing measured nothing";
}

}  // namespace
}  // namespace fedwatt
