#include "common/energy/simulated_meter.h"

#include <limits>

#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

class SimulatedMeterTest : public MeterTest {};

TEST_F(SimulatedMeterTest, IsWattsTimesTimeAndJoulesPerByte) {
  env_.simulated = SimulatedPower{.watts = 3, .joules_per_mb = 2, .relative_sigma = 0.1};
  const auto meter = MakeSimulatedMeter(env_);
  ASSERT_TRUE(meter.ok()) << meter.status();
  const auto window = (*meter)->Begin(Phase::kUpload);
  clock_.AdvanceMs(10'000);
  const EnergySample sample = (*meter)->End(window, 5'000'000);
  EXPECT_EQ(sample.energy_uj, 40'000'000);
  EXPECT_EQ(sample.sigma_uj, 4'000'000);
  EXPECT_EQ(sample.quality, EnergyQuality::kSimulated);
  EXPECT_EQ(sample.scope, EnergyScope::kDevice);
}

TEST_F(SimulatedMeterTest, OnlyWhereTheDeviceIsSimulated) {
  EXPECT_TRUE(absl::IsUnavailable(MakeSimulatedMeter(env_).status()));
  for (const double watts : {-1.0, 1e7, std::numeric_limits<double>::quiet_NaN()}) {
    env_.simulated = SimulatedPower{.watts = watts};
    EXPECT_TRUE(absl::IsInvalidArgument(MakeSimulatedMeter(env_).status())) << watts;
  }
}

TEST_F(SimulatedMeterTest, IsNeverDetected) {
  env_.simulated = SimulatedPower{};
  EXPECT_EQ((*ChooseEnergyMeter("auto", env_)).meter->name(), "cpu_time");
  EXPECT_EQ((*ChooseEnergyMeter("simulated", env_)).meter->name(), "simulated");
}

}  // namespace
}  // namespace fedwatt
