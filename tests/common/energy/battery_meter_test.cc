#include "common/energy/battery_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kBattery[] = "sys/class/power_supply/battery/";

class BatteryMeterTest : public MeterTest {
 protected:
  void Set(const std::string& file, int64_t value) { tree_.Write(kBattery + file, value); }
  void SetStatus(const std::string& status) {
    tree_.Write(std::string(kBattery) + "status", status);
  }
  std::unique_ptr<EnergyMeter> Make() {
    auto meter = MakeBatteryMeter(env_);
    EXPECT_TRUE(meter.ok()) << meter.status();
    return *std::move(meter);
  }
  std::string Error() {
    const auto meter = MakeBatteryMeter(env_);
    EXPECT_TRUE(absl::IsUnavailable(meter.status())) << meter.status();
    return std::string(meter.status().message());
  }
  // Joules of the machine over a window.
  double Joules(const EnergySample& sample) {
    EXPECT_TRUE(sample.machine_energy_uj.has_value()) << sample.reason;
    return static_cast<double>(sample.machine_energy_uj.value_or(-1)) * 1e-6;
  }
};

TEST_F(BatteryMeterTest, CurrentTimesVoltageOfEitherSign) {
  BuildPhone(tree_);
  auto meter = Make();
  EXPECT_EQ(Joules(Measure(*meter, [&] { Pass(*meter, 10'000); })), 20);
  Set("current_now", 500'000);
  meter = Make();
  EXPECT_EQ(Joules(Measure(*meter, [&] { Pass(*meter, 10'000); })), 20);
}

TEST_F(BatteryMeterTest, FollowsAChangingCurrentByTrapezoids) {
  BuildPhone(tree_);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 1000);
    Set("current_now", -1'000'000);
    Pass(*meter, 1000);
    Pass(*meter, 1000);
  });
  EXPECT_EQ(Joules(sample), 2 + 3 + 4);
  EXPECT_GT(sample.sigma_uj, 0);
}

TEST_F(BatteryMeterTest, PowerNowIsPreferred) {
  BuildPhone(tree_);
  Set("power_now", 3'000'000);
  const auto meter = Make();
  EXPECT_EQ(meter->description(), "battery power_now");
  EXPECT_EQ(Joules(Measure(*meter, [&] { Pass(*meter, 10'000); })), 30);
}

TEST_F(BatteryMeterTest, ChargingInMidWindowIsUnavailableAlsoWhenItEndsBefore) {
  BuildPhone(tree_);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 5000);
    SetStatus("Charging");
    Set("current_now", 1'500'000);
    Pass(*meter, 5000);
    SetStatus("Discharging");
    Set("current_now", -500'000);
    Pass(*meter, 5000);
  });
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, HasSubstr("battery is charging"));
  EXPECT_EQ(Joules(Measure(*meter, [&] { Pass(*meter, 5000); })), 10) << "the next is sound";
}

TEST_F(BatteryMeterTest, ASignThatFlipsIsChargingThatTheStatusHidesYet) {
  BuildPhone(tree_);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 5000);
    Set("current_now", 1'500'000);
    Pass(*meter, 5000);
  });
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, AllOf(HasSubstr("changed its sign"), HasSubstr("charging")));
}

TEST_F(BatteryMeterTest, FullOnTheMainsInMidWindowIsUnavailable) {
  BuildPhone(tree_);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 5000);
    SetStatus("Full");
    Pass(*meter, 5000);
  });
  EXPECT_THAT(sample.reason, HasSubstr("no battery discharges: battery is 'Full'"));
}

TEST_F(BatteryMeterTest, OnTheMainsThereIsNoMeter) {
  BuildPhone(tree_);
  SetStatus("Charging");
  EXPECT_THAT(Error(), HasSubstr("charging"));
  SetStatus("Not charging");
  EXPECT_THAT(Error(), HasSubstr("no battery discharges"));
}

TEST_F(BatteryMeterTest, TwoBatteriesAddUpAndTheIdleOneGivesNothing) {
  BuildPhone(tree_);
  tree_.Battery("second", "Discharging");
  tree_.Write("sys/class/power_supply/second/power_now", 1'000'000);
  const auto meter = Make();
  EXPECT_EQ(Joules(Measure(*meter, [&] { Pass(*meter, 10'000); })), 30);
  tree_.Write("sys/class/power_supply/second/status", "Not charging");
  EXPECT_EQ(Joules(Measure(*meter, [&] { Pass(*meter, 10'000); })), 20);
}

TEST_F(BatteryMeterTest, ABatteryOfAMouseIsNotTheDevices) {
  tree_.Battery("hid-mouse", "Discharging");
  tree_.Write("sys/class/power_supply/hid-mouse/scope", "Device");
  tree_.Write("sys/class/power_supply/hid-mouse/power_now", 1000);
  EXPECT_THAT(Error(), HasSubstr("has no battery"));
}

TEST_F(BatteryMeterTest, ACapacityOfZeroIsALyingGauge) {
  BuildPhone(tree_);
  Set("capacity", 0);
  EXPECT_THAT(Error(), HasSubstr("capacity of 0"));
  Set("capacity", 50);
  Set("charge_full", 0);
  EXPECT_THAT(Error(), HasSubstr("charge_full of 0"));
}

TEST_F(BatteryMeterTest, ACurrentOfZeroIsADriverThatDoesNotMeasure) {
  BuildPhone(tree_);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 2000);
    Set("current_now", 0);
    Pass(*meter, 8000);
  });
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, AllOf(HasSubstr("only 20 %"), HasSubstr("reads 0")));
}

TEST_F(BatteryMeterTest, WithoutCurrentItsEnergyIsACounterThatFalls) {
  tree_.Battery("battery", "Discharging");
  Set("energy_now", 40'000'000);
  const auto meter = Make();
  EXPECT_EQ(meter->description(), "battery energy_now");
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 60'000);
    Set("energy_now", 39'900'000);
    Pass(*meter, 60'000);
  });
  EXPECT_EQ(Joules(sample), 360) << "100 mWh";
  ASSERT_TRUE(sample.sigma_uj.has_value());
  EXPECT_GT(*sample.sigma_uj, 3'000'000) << "a quarter of a step of 36 J: coarse";
  const EnergySample quiet = Measure(*meter, [&] { Pass(*meter, 30'000); });
  EXPECT_FALSE(quiet.energy_uj.has_value()) << "below its step is not zero";
}

TEST_F(BatteryMeterTest, WithoutCurrentItsChargeTimesVoltageIs) {
  tree_.Battery("battery", "Discharging");
  Set("charge_now", 2'000'000);
  Set("voltage_now", 4'000'000);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 60'000);
    Set("charge_now", 1'975'000);
    Set("voltage_now", 3'900'000);
    Pass(*meter, 60'000);
  });
  EXPECT_NEAR(Joules(sample), 25e-3 * 3600 * 3.9, 1e-3) << "25 mAh at 3.9 V";
}

TEST_F(BatteryMeterTest, AChargeThatRisesIsUnavailable) {
  tree_.Battery("battery", "Discharging");
  Set("energy_now", 40'000'000);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 60'000);
    Set("energy_now", 40'100'000);
    Pass(*meter, 60'000);
  });
  EXPECT_THAT(sample.reason, HasSubstr("charging has begun"));
}

TEST_F(BatteryMeterTest, ABatteryThatTellsNothingSaysSo) {
  tree_.Battery("battery", "Discharging");
  EXPECT_THAT(Error(), HasSubstr("tells neither power_now"));
}

TEST_F(BatteryMeterTest, AMillisecondIsTooShortForAGauge) {
  BuildPhone(tree_);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] { clock_.AdvanceMs(1); });
  EXPECT_THAT(sample.reason, HasSubstr("shorter than"));
}

}  // namespace
}  // namespace fedwatt
