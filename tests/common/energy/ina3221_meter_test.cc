#include "common/energy/ina3221_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOrin[] = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon4/";

class Ina3221MeterTest : public MeterTest {
 protected:
  std::string Error() { return std::string(MakeIna3221Meter(env_).status().message()); }
};

TEST_F(Ina3221MeterTest, TakesTheTotalRailAloneWhereverItIs) {
  BuildJetsonOrin(tree_);
  tree_.Write(std::string(kOrin) + "in1_label", "VDD_CPU_GPU_CV");
  tree_.Write(std::string(kOrin) + "in2_label", "VDD_IN");
  const auto meter = MakeIna3221Meter(env_);
  ASSERT_TRUE(meter.ok()) << meter.status();
  const EnergySample sample = Measure(**meter, [&] { Pass(**meter, 1000, 1, 1); });
  EXPECT_EQ(sample.energy_uj, 3'000'000) << "5 V x 600 mA";
}

TEST_F(Ina3221MeterTest, ADisabledTotalIsNoTotal) {
  BuildJetsonOrin(tree_);
  tree_.Write(std::string(kOrin) + "in1_enable", 0);
  EXPECT_THAT(Error(), AllOf(HasSubstr("only VDD_CPU_GPU_CV"), Not(HasSubstr("VDD_SOC"))))
      << "the third is disabled, too";
}

TEST_F(Ina3221MeterTest, UnconnectedAndShuntChannelsAreSkipped) {
  const std::string dir = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/";
  tree_.Write(dir + "rail_name_0", "NC");
  tree_.Write(dir + "in_power0_input", 77);
  tree_.Write(std::string(kOrin) + "in4_label", "VDD_IN");
  tree_.Write(std::string(kOrin) + "in4_input", 5'000);
  EXPECT_THAT(Error(), AllOf(HasSubstr("only unconnected ones"), Not(HasSubstr("NC"))));
}

TEST_F(Ina3221MeterTest, WithoutATotalItNamesTheRailsItHas) {
  const std::string dir = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/";
  for (const int channel : {1, 2}) {
    tree_.Write(dir + "in" + std::to_string(channel) + "_label",
                channel == 1 ? "VDD_GPU_SOC" : "VDD_CPU_CV");
  }
  EXPECT_THAT(Error(), HasSubstr("only VDD_GPU_SOC, VDD_CPU_CV"));
}

TEST_F(Ina3221MeterTest, IsPolledAsItsChipIsRenewed) {
  BuildJetsonOrin(tree_);
  EXPECT_EQ((*MakeIna3221Meter(env_))->PollPeriodUs(), 100'000);
  tree_.Write(std::string(kOrin) + "update_interval", 260);
  EXPECT_EQ((*MakeIna3221Meter(env_))->PollPeriodUs(), 260'000);
  tree_.Write(std::string(kOrin) + "update_interval", 1);
  EXPECT_EQ((*MakeIna3221Meter(env_))->PollPeriodUs(), 10'000) << "no busier than that";
}

TEST_F(Ina3221MeterTest, NonsenseIsNoPower) {
  BuildJetsonOrin(tree_);
  const auto meter = MakeIna3221Meter(env_);
  for (const int64_t ma : {int64_t{-3}, int64_t{999'999'999'999'999}}) {
    const EnergySample sample = Measure(**meter, [&] {
      tree_.Write(std::string(kOrin) + "curr1_input", ma);
      Pass(**meter, 1000);
    });
    EXPECT_FALSE(sample.energy_uj.has_value()) << ma;
    EXPECT_THAT(sample.reason, HasSubstr("between 0 and 500"));
  }
}

TEST_F(Ina3221MeterTest, AMillisecondIsTooShort) {
  BuildJetsonOrin(tree_);
  const auto meter = MakeIna3221Meter(env_);
  const EnergySample sample = Measure(**meter, [&] { clock_.AdvanceMs(1); });
  EXPECT_THAT(sample.reason, HasSubstr("shorter than the 100 ms"));
}

}  // namespace
}  // namespace fedwatt
