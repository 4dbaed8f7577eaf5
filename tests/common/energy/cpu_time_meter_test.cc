#include "common/energy/cpu_time_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

class CpuTimeMeterTest : public MeterTest {};

TEST_F(CpuTimeMeterTest, MultipliesCpuTimeByWatts) {
  const auto meter = MakeCpuTimeMeter(env_);
  ASSERT_TRUE(meter.ok()) << meter.status();
  const auto window = (*meter)->Begin(Phase::kTrain);
  own_us_ += 2'000'000;
  clock_.AdvanceMs(5000);
  const EnergySample sample = (*meter)->End(window, 77);
  EXPECT_EQ(sample.energy_uj, 12'000'000) << "2 s x 6 W";
  EXPECT_EQ(sample.sigma_uj, 7'200'000);
  EXPECT_EQ(sample.quality, EnergyQuality::kEstimated);
  EXPECT_EQ(sample.duration_us, 5'000'000);
  EXPECT_EQ(sample.bytes, 77u);
}

TEST_F(CpuTimeMeterTest, CalibrationReplacesTheDefaultAndNarrowsSigma) {
  env_.watts_per_busy_core = 3;
  const auto meter = MakeCpuTimeMeter(env_);
  const auto window = (*meter)->Begin(Phase::kEncode);
  own_us_ += 1000;
  const EnergySample sample = (*meter)->End(window, 0);
  EXPECT_EQ(sample.energy_uj, 3000);
  EXPECT_EQ(sample.sigma_uj, 600);
  EXPECT_THAT((*meter)->description(), testing::HasSubstr("calibrated"));
}

TEST_F(CpuTimeMeterTest, ACounterThatGoesBackIsUnavailable) {
  const auto meter = MakeCpuTimeMeter(env_);
  own_us_ = 1000;
  const auto window = (*meter)->Begin(Phase::kTrain);
  own_us_ = 10;
  const EnergySample sample = (*meter)->End(window, 0);
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(sample.energy_uj.has_value());
}

}  // namespace
}  // namespace fedwatt
