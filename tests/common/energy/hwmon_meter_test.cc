#include "common/energy/hwmon_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class HwmonMeterTest : public MeterTest {
 protected:
  std::unique_ptr<EnergyMeter> Make() {
    auto meter = MakeHwmonMeter(env_);
    EXPECT_TRUE(meter.ok()) << meter.status();
    return *std::move(meter);
  }
  std::string Error() { return std::string(MakeHwmonMeter(env_).status().message()); }
  int64_t TenSecondsUj(EnergyMeter& meter) {
    const EnergySample sample = Measure(meter, [&] { Pass(meter, 10'000); });
    EXPECT_TRUE(sample.machine_energy_uj.has_value()) << sample.reason;
    return sample.machine_energy_uj.value_or(-1);
  }
};

TEST_F(HwmonMeterTest, CountsTheSocketsAndNotTheirCores) {
  BuildAmdServer(tree_);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 1000, 2, 0.5, [&](double seconds) {
      for (const char* const file : {"energy1_input", "energy2_input", "energy3_input"}) {
        tree_.Spend(std::string("sys/class/hwmon/hwmon2/") + file, 50 * seconds);
      }
    });
  });
  EXPECT_EQ(sample.machine_energy_uj, 100'000'000);
}

TEST_F(HwmonMeterTest, AddsThePowersOfBothSockets) {
  tree_.Hwmon(0, "zenpower", "power1_input", "SVI2_P_Core", 30'000'000);
  tree_.Hwmon(0, "zenpower", "power2_input", "SVI2_P_SoC", 10'000'000);
  tree_.Hwmon(1, "zenpower", "power1_input", "SVI2_P_Core", 20'000'000);
  EXPECT_EQ(TenSecondsUj(*Make()), 600'000'000);
}

TEST_F(HwmonMeterTest, AcpisMeterIsPolledAsItsAveragingAsks) {
  tree_.Hwmon(0, "power_meter", "power1_average", "", 250'000'000);
  tree_.Write("sys/class/hwmon/hwmon0/power1_average_interval", 1000);
  env_.machine_cpu_time_us = nullptr;
  const auto meter = Make();
  EXPECT_EQ(meter->PollPeriodUs(), 1'000'000);
  EXPECT_EQ(meter->scope(), EnergyScope::kDevice);
  EXPECT_EQ(Measure(*meter, [&] { Pass(*meter, 10'000); }).energy_uj, 2'500'000'000);
}

TEST_F(HwmonMeterTest, AnInputIsPreferredToAnAverage) {
  tree_.Hwmon(0, "fam15h_power", "power1_average", "", 1'000'000);
  tree_.Hwmon(0, "fam15h_power", "power1_input", "", 40'000'000);
  EXPECT_EQ(TenSecondsUj(*Make()), 400'000'000);
}

TEST_F(HwmonMeterTest, VoltageTimesCurrentWhereThereIsNoPower) {
  tree_.Hwmon(3, "ina226", "in1_input", "", 12'000);
  tree_.Hwmon(3, "ina226", "curr1_input", "", 2'000);
  const auto meter = Make();
  EXPECT_EQ(meter->description(), "ina226 in1 x curr1");
  EXPECT_EQ(TenSecondsUj(*meter), 240'000'000) << "24 W";
}

TEST_F(HwmonMeterTest, OfSeveralSupplySensorsNobodyKnowsTheTotal) {
  tree_.Hwmon(0, "ina226", "power1_input", "", 5'000'000);
  tree_.Hwmon(1, "ina226", "power1_input", "", 5'000'000);
  EXPECT_THAT(Error(), HasSubstr("nothing tells which"));
}

TEST_F(HwmonMeterTest, ChipsThatSeeAPartAreNoMeter) {
  tree_.Hwmon(0, "amdgpu", "power1_average", "PPT", 30'000'000);
  tree_.Hwmon(1, "nvme", "temp1_input", "", 40'000);
  EXPECT_THAT(Error(), HasSubstr("no chip known to see the whole machine"));
}

TEST_F(HwmonMeterTest, ASupplysTotalIsTakenAndItsRailsAreNot) {
  tree_.Hwmon(0, "corsairpsu", "power1_input", "power total", 90'000'000);
  tree_.Hwmon(0, "corsairpsu", "power2_input", "power +12v", 70'000'000);
  EXPECT_EQ(TenSecondsUj(*Make()), 900'000'000);
}

TEST_F(HwmonMeterTest, AFileThatCannotBeReadIsNamed) {
  BuildAmdServer(tree_);
  Fail("sys/class/hwmon/hwmon2/energy2_input", EACCES);
  EXPECT_THAT(Error(), HasSubstr("hwmon2/energy2_input"));
}

TEST_F(HwmonMeterTest, ASensorThatFallsSilentCoversWhatItSaw) {
  tree_.Hwmon(0, "zenpower", "power1_input", "SVI2_P_Core", 10'000'000);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 8000);
    Fail("sys/class/hwmon/hwmon0/power1_input", EIO);
    Pass(*meter, 2000);
  });
  EXPECT_EQ(sample.machine_energy_uj, 80'000'000) << "nothing is extrapolated";
  EXPECT_NEAR(sample.coverage, 0.8, 1e-9);
}

}  // namespace
}  // namespace fedwatt
