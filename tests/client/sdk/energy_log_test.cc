#include "client/sdk/energy_log.h"

#include "common/base/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::SizeIs;

EnergySample Sample(Phase phase, int64_t energy_uj, int64_t duration_us, uint64_t bytes) {
  EnergySample sample;
  sample.source = "rapl";
  sample.quality = EnergyQuality::kMeasured;
  sample.scope = EnergyScope::kPackage;
  sample.phase = phase;
  sample.energy_uj = energy_uj;
  sample.sigma_uj = 3;
  sample.coverage = 1;
  sample.duration_us = duration_us;
  sample.bytes = bytes;
  return sample;
}

TEST(AddEnergySampleTest, AddsWhatIsOfOneKind) {
  std::vector<EnergySample> samples;
  AddEnergySample(Sample(Phase::kDownload, 100, 10, 5), &samples);
  EnergySample second = Sample(Phase::kDownload, 50, 30, 7);
  second.sigma_uj = 4;
  second.coverage = 0.5;
  AddEnergySample(second, &samples);
  ASSERT_THAT(samples, SizeIs(1));
  EXPECT_EQ(samples[0].energy_uj, 150);
  EXPECT_EQ(samples[0].sigma_uj, 5);  // 3 and 4 in quadrature
  EXPECT_EQ(samples[0].duration_us, 40);
  EXPECT_EQ(samples[0].bytes, 12);
  EXPECT_DOUBLE_EQ(samples[0].coverage, 0.625);
}

TEST(AddEnergySampleTest, NeverAddsWhatDiffersInPhaseQualityScopeOrSource) {
  std::vector<EnergySample> samples;
  const EnergySample base = Sample(Phase::kDownload, 100, 10, 5);
  AddEnergySample(base, &samples);
  EnergySample other = base;
  other.phase = Phase::kUpload;
  AddEnergySample(other, &samples);
  other = base;
  other.quality = EnergyQuality::kEstimated;
  AddEnergySample(other, &samples);
  other = base;
  other.scope = EnergyScope::kDevice;
  AddEnergySample(other, &samples);
  other = base;
  other.source = "battery";
  AddEnergySample(other, &samples);
  EXPECT_THAT(samples, SizeIs(5));
}

TEST(AddEnergySampleTest, AWindowWithoutAFigureLowersTheCoverageOfTheOnesWith) {
  EnergySample gap = Sample(Phase::kDownload, 0, 30, 3);
  gap.quality = EnergyQuality::kUnavailable;
  gap.energy_uj.reset();
  gap.sigma_uj.reset();
  gap.coverage = 0;
  gap.reason = "a window of 0.03 ms is too short";
  const EnergySample figure = Sample(Phase::kDownload, 100, 10, 5);
  for (const bool gap_first : {true, false}) {
    std::vector<EnergySample> samples;
    AddEnergySample(gap_first ? gap : figure, &samples);
    AddEnergySample(gap_first ? figure : gap, &samples);
    ASSERT_THAT(samples, SizeIs(1)) << "the coordinator books one of a phase and source";
    EXPECT_EQ(samples[0].energy_uj, 100);
    EXPECT_EQ(samples[0].quality, EnergyQuality::kMeasured);
    EXPECT_DOUBLE_EQ(samples[0].coverage, 0.25);
    EXPECT_EQ(samples[0].duration_us, 40);
    EXPECT_EQ(samples[0].bytes, 8u);
    EXPECT_EQ(samples[0].reason, "");
  }
  std::vector<EnergySample> gaps;
  AddEnergySample(gap, &gaps);
  gap.reason = "a window of 0.04 ms is too short";
  AddEnergySample(gap, &gaps);
  ASSERT_THAT(gaps, SizeIs(1)) << "reasons differ from window to window";
  EXPECT_FALSE(gaps[0].energy_uj.has_value());
  EXPECT_EQ(gaps[0].duration_us, 60);
}

TEST(AddEnergySampleTest, WhatIsBesideBecomesSamplesOfTheirOwn) {
  EnergySample upload = Sample(Phase::kUpload, 100, 10, 5);
  upload.beside.push_back(Sample(Phase::kUpload, 70, 10, 5));
  upload.beside[0].source = "radio";
  std::vector<EnergySample> samples;
  AddEnergySample(upload, &samples);
  AddEnergySample(upload, &samples);
  ASSERT_THAT(samples, SizeIs(2));
  EXPECT_EQ(samples[0].source, "rapl");
  EXPECT_EQ(samples[0].energy_uj, 200);
  EXPECT_EQ(samples[1].source, "radio");
  EXPECT_EQ(samples[1].energy_uj, 140);
  for (const EnergySample& sample : samples) EXPECT_THAT(sample.beside, SizeIs(0));
}

TEST(AddEnergySampleTest, AnUnknownUncertaintyStaysUnknown) {
  std::vector<EnergySample> samples;
  AddEnergySample(Sample(Phase::kTrain, 100, 10, 0), &samples);
  EnergySample unsure = Sample(Phase::kTrain, 100, 10, 0);
  unsure.sigma_uj.reset();
  AddEnergySample(unsure, &samples);
  ASSERT_THAT(samples, SizeIs(1));
  EXPECT_EQ(samples[0].energy_uj, 200);
  EXPECT_FALSE(samples[0].sigma_uj.has_value());
}

TEST(PhaseMeterTest, WithoutAMeterASampleHasADurationAndAReason) {
  FakeClock clock;
  PhaseMeter meter(nullptr, &clock);
  meter.Begin(Phase::kEncode);
  clock.AdvanceMs(5);
  const EnergySample sample = meter.End(77);
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_EQ(sample.phase, Phase::kEncode);
  EXPECT_EQ(sample.duration_us, 5000);
  EXPECT_EQ(sample.bytes, 77);
  EXPECT_FALSE(sample.reason.empty());
}

TEST(UploadEnergyEstimateTest, IsUnavailableBeforeTheFirstUpload) {
  const EnergySample sample = UploadEnergyEstimate().Estimate(1000);
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(sample.energy_uj.has_value());
}

TEST(UploadEnergyEstimateTest, ExtrapolatesByTheByteWithTheSpreadSeen) {
  UploadEnergyEstimate estimate;
  estimate.Learn(Sample(Phase::kUpload, 1000, 10, 1000));  // 1 uJ a byte
  estimate.Learn(Sample(Phase::kUpload, 3000, 30, 1000));  // 3 uJ a byte
  const EnergySample sample = estimate.Estimate(500);
  EXPECT_EQ(sample.quality, EnergyQuality::kEstimated);
  EXPECT_EQ(sample.energy_uj, 1000);
  EXPECT_EQ(sample.duration_us, 10);
  EXPECT_EQ(sample.sigma_uj, 707);  // sqrt(2) uJ a byte
  EXPECT_EQ(sample.coverage, 0);
}

TEST(UploadEnergyEstimateTest, ExtrapolatesWhatIsBesideBesideIt) {
  UploadEnergyEstimate estimate;
  EnergySample upload = Sample(Phase::kUpload, 1000, 10, 100);
  upload.beside.push_back(Sample(Phase::kUpload, 5000, 10, 100));
  upload.beside[0].source = "radio";
  estimate.Learn(upload);
  estimate.Learn(upload);
  const EnergySample twice = estimate.Estimate(200);
  EXPECT_EQ(twice.energy_uj, 2000);
  ASSERT_THAT(twice.beside, SizeIs(1));
  EXPECT_EQ(twice.beside[0].source, "radio");
  EXPECT_EQ(twice.beside[0].energy_uj, 10'000);
  EXPECT_EQ(twice.beside[0].quality, EnergyQuality::kEstimated);
}

TEST(UploadEnergyEstimateTest, KeepsThatASimulatedMeterIsSimulated) {
  UploadEnergyEstimate estimate;
  EnergySample simulated = Sample(Phase::kUpload, 1000, 10, 1000);
  simulated.quality = EnergyQuality::kSimulated;
  estimate.Learn(simulated);
  EXPECT_EQ(estimate.Estimate(1).quality, EnergyQuality::kSimulated);
}

TEST(UploadEnergyEstimateTest, LearnsNothingFromUnavailableSamplesAndForgetsAnotherMeter) {
  UploadEnergyEstimate estimate;
  EnergySample unavailable = Sample(Phase::kUpload, 0, 10, 1000);
  unavailable.energy_uj.reset();
  estimate.Learn(unavailable);
  EXPECT_EQ(estimate.Estimate(1).quality, EnergyQuality::kUnavailable);
  estimate.Learn(Sample(Phase::kUpload, 9000, 10, 1000));
  EnergySample other = Sample(Phase::kUpload, 2000, 10, 1000);
  other.source = "battery";
  estimate.Learn(other);
  EXPECT_EQ(estimate.Estimate(1000).energy_uj, 2000);
  EXPECT_EQ(estimate.Estimate(1000).source, "battery");
}

}  // namespace
}  // namespace fedwatt
