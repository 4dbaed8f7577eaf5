#include "server/ledger/energy_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "common/base/bounds.h"
#include "tests/test_name.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

EnergySample Sample(const std::string& source, Phase phase, std::optional<int64_t> energy_uj) {
  EnergySample sample;
  sample.source = source;
  sample.phase = phase;
  sample.quality = EnergyQuality::kMeasured;
  sample.scope = EnergyScope::kPackage;
  sample.energy_uj = energy_uj;
  sample.coverage = 1;
  sample.duration_us = 1000;
  return sample;
}

TEST(BookSamples, BelievesAPlausibleSampleAsItIs) {
  const Booking booking = BookSamples({Sample("rapl", Phase::kTrain, 5)});
  ASSERT_THAT(booking.samples, SizeIs(1));
  EXPECT_EQ(booking.samples[0].energy_uj, 5);
  EXPECT_EQ(booking.samples[0].quality, EnergyQuality::kMeasured);
  EXPECT_THAT(booking.flags, IsEmpty());
}

TEST(BookSamples, BelievesZeroJoulesAndTheGreatestFigure) {
  const Booking booking = BookSamples(
      {Sample("rapl", Phase::kTrain, 0), Sample("rapl", Phase::kUpload, kMaxSampleEnergyUj)});
  EXPECT_EQ(booking.samples[0].energy_uj, 0);
  EXPECT_EQ(booking.samples[1].energy_uj, kMaxSampleEnergyUj);
  EXPECT_THAT(booking.flags, IsEmpty());
}

// Each of these claims is kept as a gap, never as a number.
class ImplausibleSample : public testing::TestWithParam<std::pair<const char*, EnergySample>> {};

TEST_P(ImplausibleSample, IsBookedAsUnavailableWithTheReason) {
  const Booking booking = BookSamples({GetParam().second});
  ASSERT_THAT(booking.samples, SizeIs(1));
  const EnergySample& booked = booking.samples[0];
  EXPECT_EQ(booked.quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(booked.energy_uj.has_value());
  EXPECT_FALSE(booked.sigma_uj.has_value());
  EXPECT_FALSE(booked.machine_energy_uj.has_value());
  EXPECT_THAT(booked.reason, HasSubstr(GetParam().first));
  ASSERT_THAT(booking.flags, SizeIs(1));
  EXPECT_THAT(booking.flags[0], HasSubstr(GetParam().first));
  EXPECT_THAT(BookSamples(booking.samples).flags, IsEmpty()) << "booking again changes nothing";
}

EnergySample With(const std::function<void(EnergySample&)>& change) {
  EnergySample sample = Sample("rapl", Phase::kTrain, 5);
  change(sample);
  return sample;
}

INSTANTIATE_TEST_SUITE_P(
    All, ImplausibleSample,
    testing::Values(std::make_pair("energy_uj = -1", With([](auto& s) { s.energy_uj = -1; })),
                    std::make_pair("energy_uj = 1000000000000001",
                                   With([](auto& s) { s.energy_uj = kMaxSampleEnergyUj + 1; })),
                    std::make_pair("sigma_uj", With([](auto& s) { s.sigma_uj = -7; })),
                    std::make_pair("machine_energy_uj", With([](auto& s) {
                                     s.machine_energy_uj = std::numeric_limits<int64_t>::min();
                                   })),
                    std::make_pair("duration_us", With([](auto& s) { s.duration_us = -1; })),
                    std::make_pair("coverage = nan",
                                   With([](auto& s) { s.coverage = std::nan(""); })),
                    std::make_pair("coverage = 1.5", With([](auto& s) { s.coverage = 1.5; })),
                    std::make_pair("quality unavailable",
                                   With([](auto& s) { s.quality = EnergyQuality::kUnavailable; }))),
    [](const auto& info) { return TestName(info.param.first); });

TEST(BookSamples, AFigureThatIsMissingIsUnavailableWhateverTheClaimedQuality) {
  const Booking booking = BookSamples({Sample("rapl", Phase::kTrain, std::nullopt)});
  EXPECT_EQ(booking.samples[0].quality, EnergyQuality::kUnavailable);
  EXPECT_THAT(booking.flags, IsEmpty()) << "a gap is honest";
}

TEST(BookSamples, DropsASecondSampleOfOneMeterAndPhase) {
  const Booking booking =
      BookSamples({Sample("rapl", Phase::kTrain, 5), Sample("rapl", Phase::kTrain, 9),
                   Sample("rapl", Phase::kUpload, 2)});
  ASSERT_THAT(booking.samples, SizeIs(2));
  EXPECT_EQ(booking.samples[0].energy_uj, 5);
  EXPECT_EQ(booking.samples[1].energy_uj, 2);
  EXPECT_THAT(booking.flags, SizeIs(1));
}

TEST(BookSamples, KeepsNoMoreThanTheLimitAndNoNamelessMeter) {
  std::vector<EnergySample> claimed = {Sample("", Phase::kTrain, 1),
                                       Sample(std::string(10'000, 'x'), Phase::kTrain, 1)};
  for (size_t i = 0; i < bounds::kMaxEnergySamples + 10; ++i) {
    claimed.push_back(Sample("meter" + std::to_string(i), Phase::kTrain, 1));
  }
  const Booking booking = BookSamples(claimed);
  EXPECT_THAT(booking.samples, SizeIs(bounds::kMaxEnergySamples));
  EXPECT_THAT(booking.flags, SizeIs(3)) << "two names, one limit";
}

TEST(AddSample, NeverAddsFiguresOfDifferentSourceQualityOrScope) {
  std::vector<EnergyTotal> totals;
  EnergySample sample = Sample("rapl", Phase::kTrain, 10);
  AddSample(sample, JouleUse::kUseful, &totals);
  sample.phase = Phase::kUpload;
  AddSample(sample, JouleUse::kWasted, &totals);
  sample.scope = EnergyScope::kDevice;
  AddSample(sample, JouleUse::kUseful, &totals);
  sample.quality = EnergyQuality::kEstimated;
  AddSample(sample, JouleUse::kUseful, &totals);
  sample.source = "battery";
  AddSample(sample, JouleUse::kUseful, &totals);
  ASSERT_THAT(totals, SizeIs(4));
  EXPECT_EQ(totals[0].useful_uj, 10);
  EXPECT_EQ(totals[0].wasted_uj, 10);
  EXPECT_EQ(totals[0].samples, 2u);
}

TEST(AddSample, CountsAMissingFigureAndAddsNothing) {
  std::vector<EnergyTotal> totals;
  AddSample(BookSamples({Sample("rapl", Phase::kTrain, std::nullopt)}).samples[0],
            JouleUse::kUseful, &totals);
  ASSERT_THAT(totals, SizeIs(1));
  EXPECT_EQ(totals[0].unavailable, 1u);
  EXPECT_EQ(totals[0].samples, 1u);
  EXPECT_EQ(totals[0].useful_uj, 0);
}

TEST(AddTotals, AddsKindByKindAndSaturates) {
  std::vector<EnergyTotal> totals;
  AddSample(Sample("rapl", Phase::kTrain, 3), JouleUse::kUseful, &totals);
  std::vector<EnergyTotal> more = totals;
  more[0].wasted_uj = std::numeric_limits<int64_t>::max();
  AddTotals(more, &totals);
  AddTotals(more, &totals);
  ASSERT_THAT(totals, SizeIs(1));
  EXPECT_EQ(totals[0].useful_uj, 9);
  EXPECT_EQ(totals[0].wasted_uj, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(totals[0].samples, 3u);
}

EnergySample Estimate(Phase phase, int64_t energy_uj) {
  EnergySample sample = Sample("rapl", phase, energy_uj);
  sample.quality = EnergyQuality::kEstimated;
  return sample;
}

int64_t SumUj(const std::vector<EnergySample>& samples) {
  int64_t sum = 0;
  for (const EnergySample& sample : samples) sum += sample.energy_uj.value_or(0);
  return sum;
}

TEST(BookSamples, KeepsAMeasuredAndAnEstimatedUploadApart) {
  const Booking booking =
      BookSamples({Sample("rapl", Phase::kUpload, 5), Estimate(Phase::kUpload, 3)});
  EXPECT_THAT(booking.samples, SizeIs(2));
  EXPECT_THAT(booking.flags, IsEmpty());
}

TEST(NotBookedYet, IsAllOfTheFirstClaimAndNothingOfItsRepetition) {
  const std::vector<EnergySample> claim = {Sample("rapl", Phase::kTrain, 70),
                                           Estimate(Phase::kUpload, 3),
                                           Sample("hwmon", Phase::kTrain, std::nullopt)};
  EXPECT_EQ(NotBookedYet(claim, {}).size(), 3u);
  EXPECT_THAT(NotBookedYet(claim, claim), IsEmpty());
}

// What was an estimate is measured now: the same joules, and no more of them.
TEST(NotBookedYet, AMeasurementOfWhatWasEstimatedAddsOnlyWhatItIsMore) {
  const std::vector<EnergySample> booked = {Estimate(Phase::kUpload, 30)};
  EXPECT_THAT(NotBookedYet({Sample("rapl", Phase::kUpload, 25)}, booked), IsEmpty());
  const auto more = NotBookedYet({Sample("rapl", Phase::kUpload, 40)}, booked);
  ASSERT_THAT(more, SizeIs(1));
  EXPECT_EQ(more[0].energy_uj, 10);
  EXPECT_EQ(more[0].quality, EnergyQuality::kMeasured);
  EXPECT_EQ(more[0].duration_us, 250) << "a quarter of it, as of the joules";
}

TEST(NotBookedYet, ASecondTryIsOnTopOfTheFirst) {
  const std::vector<EnergySample> booked = {Estimate(Phase::kUpload, 30)};
  const auto more =
      NotBookedYet({Sample("rapl", Phase::kUpload, 25), Estimate(Phase::kUpload, 30)}, booked);
  ASSERT_THAT(more, SizeIs(1));
  EXPECT_EQ(more[0].energy_uj, 25);
}

TEST(NotBookedYet, OtherMetersAndPhasesAreOtherJoules) {
  const std::vector<EnergySample> booked = {Sample("rapl", Phase::kTrain, 70)};
  EXPECT_EQ(
      SumUj(NotBookedYet({Sample("rapl", Phase::kTrain, 70), Sample("rapl", Phase::kEncode, 4),
                          Sample("radio", Phase::kTrain, 2)},
                         booked)),
      6);
}

TEST(NotBookedYet, AFigureMayComeWhereThereWasNoneAndAGapIsSaidOnce) {
  const std::vector<EnergySample> gap = {Sample("rapl", Phase::kTrain, std::nullopt)};
  EXPECT_EQ(SumUj(NotBookedYet({Sample("rapl", Phase::kTrain, 70)}, gap)), 70);
  EXPECT_THAT(NotBookedYet(gap, gap), IsEmpty());
}

// Whatever a client claims in whatever order, each meter's phase is booked at its largest claim.
TEST(NotBookedYet, OverAnySequenceOfClaimsTheLargestIsBooked) {
  const int64_t claims[][2] = {{0, 30}, {25, 30}, {25, 0}, {60, 10}, {60, 10}, {10, 10}, {0, 90}};
  std::vector<EnergySample> booked;
  int64_t largest = 0;
  for (const auto& [measured, estimated] : claims) {
    const auto more = NotBookedYet(
        {Sample("rapl", Phase::kUpload, measured), Estimate(Phase::kUpload, estimated)}, booked);
    booked.insert(booked.end(), more.begin(), more.end());
    largest = std::max(largest, measured + estimated);
    EXPECT_EQ(SumUj(booked), largest) << measured << " + " << estimated;
  }
}

}  // namespace
}  // namespace fedwatt
