#include "common/energy/joined_meter.h"

#include "common/energy/cpu_time_meter.h"
#include "common/energy/radio_meter.h"
#include "common/energy/simulated_meter.h"
#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class JoinedMeterTest : public MeterTest {
 protected:
  void SetUp() override {
    MeterTest::SetUp();
    env_.link = RadioLink::kLte;
    env_.simulated = SimulatedPower{.watts = 2};
    std::vector<std::unique_ptr<EnergyMeter>> beside;
    beside.push_back(*MakeSimulatedMeter(env_));
    beside.push_back(*MakeRadioMeter(env_));
    meter_ = JoinMeters(*MakeCpuTimeMeter(env_), std::move(beside));
  }
  std::unique_ptr<EnergyMeter> meter_;
};

TEST_F(JoinedMeterTest, IsTheMainMeterToWhoDoesNotLookBeside) {
  EXPECT_EQ(meter_->name(), "cpu_time");
  EXPECT_EQ(meter_->quality(), EnergyQuality::kEstimated);
  EXPECT_EQ(meter_->scope(), EnergyScope::kProcess);
}

TEST_F(JoinedMeterTest, OneWindowGivesASampleOfEachSourceConcerned) {
  const auto window = meter_->Begin(Phase::kUpload);
  Pass(*meter_, 1000, 1, 0.5);
  const EnergySample sample = meter_->End(window, 99);
  EXPECT_EQ(sample.energy_uj, 3'000'000) << "0.5 s x 6 W alone";
  ASSERT_THAT(sample.beside, SizeIs(2));
  EXPECT_EQ(sample.beside[0].source, "simulated");
  EXPECT_EQ(sample.beside[0].energy_uj, 2'000'000);
  EXPECT_EQ(sample.beside[1].source, "radio");
  for (const EnergySample& other : sample.beside) {
    EXPECT_EQ(other.phase, Phase::kUpload);
    EXPECT_EQ(other.bytes, 99u);
    EXPECT_THAT(other.beside, IsEmpty());
  }
}

TEST_F(JoinedMeterTest, ASourceThatAWindowDoesNotConcernIsSilent) {
  const auto window = meter_->Begin(Phase::kTrain);
  EXPECT_THAT(meter_->End(window, 0).beside, SizeIs(1));
}

TEST_F(JoinedMeterTest, AClosedWindowHasNothingBeside) {
  const auto window = meter_->Begin(Phase::kTrain);
  (void)meter_->End(window, 0);
  const EnergySample sample = meter_->End(window, 0);
  EXPECT_EQ(sample.reason, "the window is not open");
  EXPECT_THAT(sample.beside, IsEmpty());
}

TEST_F(JoinedMeterTest, AloneItIsTheMeterItself) {
  auto main = *MakeCpuTimeMeter(env_);
  const EnergyMeter* const before = main.get();
  EXPECT_EQ(JoinMeters(std::move(main), {}).get(), before);
}

}  // namespace
}  // namespace fedwatt
