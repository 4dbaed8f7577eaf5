#include <set>

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

// What every registered meter promises.
namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class EveryMeter : public MeterTest, public testing::WithParamInterface<EnergyMeterEntry> {
 protected:
  void SetUp() override {
    MeterTest::SetUp();
    Package("intel-rapl:0", "package-0", 1000);
    auto made = GetParam().make(env_);
    ASSERT_TRUE(made.ok()) << made.status();
    meter_ = *std::move(made);
  }
  std::unique_ptr<EnergyMeter> meter_;
};

TEST_P(EveryMeter, NamesItselfAsRegistered) { EXPECT_EQ(meter_->name(), GetParam().name); }

TEST_P(EveryMeter, WindowsNestAndCloseInAnyOrder) {
  const auto outer = meter_->Begin(Phase::kTrain);
  const auto inner = meter_->Begin(Phase::kEncode);
  clock_.AdvanceMs(2);
  EXPECT_EQ(meter_->End(outer, 3).phase, Phase::kTrain);
  const EnergySample sample = meter_->End(inner, 4);
  EXPECT_EQ(sample.phase, Phase::kEncode);
  EXPECT_EQ(sample.bytes, 4u);
  EXPECT_EQ(sample.duration_us, 2000);
}

TEST_P(EveryMeter, AnEmptyWindowIsZeroOrUnavailableNeverNegative) {
  const EnergySample sample = meter_->End(meter_->Begin(Phase::kTrain), 0);
  if (sample.energy_uj) {
    EXPECT_EQ(*sample.energy_uj, 0);
  }
}

TEST_P(EveryMeter, AWindowThatIsNotOpenIsUnavailable) {
  const auto window = meter_->Begin(Phase::kTrain);
  (void)meter_->End(window, 0);
  for (const auto closed : {window, EnergyMeter::Window{999}}) {
    const EnergySample sample = meter_->End(closed, 0);
    EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
    EXPECT_FALSE(sample.energy_uj.has_value());
  }
}

TEST_P(EveryMeter, FiguresCarryQualityAndScope) {
  const EnergySample sample = meter_->End(meter_->Begin(Phase::kTrain), 0);
  EXPECT_EQ(sample.source, GetParam().name);
  EXPECT_EQ(sample.quality, meter_->quality());
  EXPECT_EQ(sample.scope, meter_->scope());
}

INSTANTIATE_TEST_SUITE_P(Builtin, EveryMeter, testing::ValuesIn(BuiltinEnergyMeters()),
                         [](const auto& info) { return info.param.name; });

class ChooseMeter : public MeterTest {};

TEST_F(ChooseMeter, AutoTakesTheBestAndSaysWhy) {
  Package("intel-rapl:0", "package-0", 1000);
  const auto choice = ChooseEnergyMeter("auto", env_);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->meter->name(), "rapl");
  EXPECT_EQ(choice->why, "rapl (derived, process): the best this host has");
}

TEST_F(ChooseMeter, AutoFallsBackAndTellsWhatItLacked) {
  const auto choice = ChooseEnergyMeter("auto", env_);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->meter->name(), "cpu_time");
  ASSERT_EQ(choice->rejected.size(), 1u);
  EXPECT_THAT(choice->rejected[0], HasSubstr("rapl: "));
}

TEST_F(ChooseMeter, ByNameItIsThatOneOrAnError) {
  EXPECT_TRUE(absl::IsUnavailable(ChooseEnergyMeter("rapl", env_).status()));
  EXPECT_THAT(std::string(ChooseEnergyMeter("cpu_tme", env_).status().message()),
              HasSubstr("did you mean \"cpu_time\""));
}

}  // namespace
}  // namespace fedwatt
