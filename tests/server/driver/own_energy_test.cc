#include "server/driver/own_energy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace fedwatt {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// Gives what the test says has been spent since the window began.
class FakeMeter final : public EnergyMeter {
 public:
  std::string name() const override { return "rapl"; }
  EnergyQuality quality() const override { return EnergyQuality::kMeasured; }
  EnergyScope scope() const override { return EnergyScope::kPackage; }
  Window Begin(Phase) override {
    begin_[++last_] = total_;
    return last_;
  }
  EnergySample End(Window window, uint64_t) override {
    EnergySample sample;
    sample.source = name();
    sample.duration_us = 1000;
    if (gap_) {
      sample.reason = "unplugged";
      return sample;
    }
    sample.quality = quality();
    sample.scope = scope();
    sample.coverage = 1;
    sample.energy_uj = total_ - begin_.at(window);
    sample.sigma_uj = 2;
    begin_.erase(window);
    return sample;
  }

  void Spend(int64_t energy_uj) { total_ += energy_uj; }
  void SetGap(bool gap) { gap_ = gap; }

 private:
  std::map<Window, int64_t> begin_;
  Window last_ = 0;
  int64_t total_ = 0;
  bool gap_ = false;
};

class OwnEnergyTest : public testing::Test {
 protected:
  OwnEnergy New(double pue = 1) {
    auto meter = std::make_unique<FakeMeter>();
    meter_ = meter.get();
    return OwnEnergy(std::move(meter), pue);
  }

  FakeMeter* meter_ = nullptr;
};

TEST_F(OwnEnergyTest, AnAttemptGetsWhatWasSpentWhileItWasOpen) {
  OwnEnergy own = New();
  meter_->Spend(1000);  // nobody's
  own.Begin("a/r1/a1", Phase::kTrain);
  meter_->Spend(30);
  const auto samples = own.End("a/r1/a1");
  ASSERT_THAT(samples, SizeIs(1));
  EXPECT_EQ(samples[0].energy_uj, 30);
  EXPECT_EQ(samples[0].sigma_uj, 2);
  EXPECT_EQ(samples[0].source, "rapl");
  EXPECT_EQ(samples[0].quality, EnergyQuality::kMeasured);
  EXPECT_EQ(samples[0].scope, EnergyScope::kPackage);
  EXPECT_EQ(samples[0].coverage, 1);
  EXPECT_THAT(own.End("a/r1/a1"), IsEmpty()) << "once";
  EXPECT_THAT(own.End("b/r1/a1"), IsEmpty());
}

TEST_F(OwnEnergyTest, AttemptsAtTheSameTimeShareSoThatNothingCountsTwice) {
  OwnEnergy own = New();
  own.Begin("a", Phase::kTrain);
  meter_->Spend(10);
  own.Begin("b", Phase::kEvaluate);
  own.Begin("b", Phase::kEvaluate);
  meter_->Spend(20);
  const auto a = own.End("a");
  meter_->Spend(5);
  const auto b = own.End("b");
  EXPECT_EQ(a[0].energy_uj, 20);
  EXPECT_EQ(b[0].energy_uj, 15);
  EXPECT_EQ(a[0].quality, EnergyQuality::kDerived) << "a share is attributed";
  EXPECT_EQ(b[0].phase, Phase::kEvaluate);
}

TEST_F(OwnEnergyTest, APueMakesTheFigureTheSitesAndSaysSo) {
  OwnEnergy own = New(1.5);
  own.Begin("a", Phase::kTrain);
  meter_->Spend(10);
  const auto samples = own.End("a");
  EXPECT_EQ(samples[0].energy_uj, 15);
  EXPECT_EQ(samples[0].sigma_uj, 3);
  EXPECT_EQ(samples[0].source, "rapl x PUE 1.5");
  EXPECT_EQ(samples[0].quality, EnergyQuality::kDerived);
}

TEST_F(OwnEnergyTest, WhatTheMeterDidNotSeeIsUnavailableNotZero) {
  OwnEnergy own = New();
  own.Begin("a", Phase::kTrain);
  meter_->SetGap(true);
  const auto blind = own.End("a");
  EXPECT_FALSE(blind[0].energy_uj.has_value());
  EXPECT_EQ(blind[0].quality, EnergyQuality::kUnavailable);
  EXPECT_EQ(blind[0].reason, "unplugged");

  own.Begin("b", Phase::kTrain);
  own.Begin("c", Phase::kTrain);  // the first part of b is lost
  meter_->SetGap(false);
  own.Begin("d", Phase::kTrain);
  const auto half = own.End("b");
  ASSERT_TRUE(half[0].energy_uj.has_value());
  EXPECT_LT(half[0].coverage, 1);
}

TEST_F(OwnEnergyTest, WhatWasSpentSoFarIsToldAndStaysOpen) {
  OwnEnergy own = New();
  own.Begin("a", Phase::kTrain);
  meter_->Spend(10);
  EXPECT_EQ(own.SoFar("a")[0].energy_uj, 10);
  meter_->Spend(7);
  EXPECT_EQ(own.SoFar("a")[0].energy_uj, 17);
  meter_->Spend(1);
  EXPECT_EQ(own.End("a")[0].energy_uj, 18);
  EXPECT_THAT(own.SoFar("a"), IsEmpty());
}

EnergySample Spent(const std::string& source, std::optional<int64_t> energy_uj, double coverage) {
  EnergySample sample;
  sample.source = source;
  sample.quality = energy_uj ? EnergyQuality::kMeasured : EnergyQuality::kUnavailable;
  sample.scope = EnergyScope::kPackage;
  sample.phase = Phase::kTrain;
  sample.energy_uj = energy_uj;
  sample.sigma_uj = 1;
  sample.coverage = coverage;
  sample.duration_us = 1000;
  return sample;
}

TEST(AddSpent, BeforeAndAfterARestartAddUpWhereTheyAreAlike) {
  const auto sum = AddSpent({Spent("rapl", 10, 1)}, {Spent("rapl", 5, 0.5)});
  ASSERT_THAT(sum, SizeIs(1));
  EXPECT_EQ(sum[0].energy_uj, 15);
  EXPECT_EQ(sum[0].sigma_uj, 2);
  EXPECT_EQ(sum[0].coverage, 0.75);
  EXPECT_EQ(sum[0].duration_us, 2000);
}

TEST(AddSpent, AnotherMeterAndAGapStandBesideIt) {
  EXPECT_THAT(AddSpent({Spent("rapl", 10, 1)}, {Spent("cpu_time", 5, 1)}), SizeIs(2));
  const auto gap = AddSpent({Spent("rapl", 10, 1)}, {Spent("rapl", std::nullopt, 0)});
  ASSERT_THAT(gap, SizeIs(2));
  EXPECT_EQ(gap[0].energy_uj, 10);
  EXPECT_THAT(AddSpent({}, {}), IsEmpty());
}

}  // namespace
}  // namespace fedwatt
