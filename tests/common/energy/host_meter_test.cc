#include "common/energy/host_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class HostMeterTest : public MeterTest {
 protected:
  void SetUp() override {
    MeterTest::SetUp();
    env_.host = HostEnergy{.total_uj = [this] { return total_uj_; }};
  }
  EnergySample TenSeconds(const absl::StatusOr<int64_t>& later_uj) {
    const auto meter = MakeHostMeter(env_);
    EXPECT_TRUE(meter.ok()) << meter.status();
    return Measure(**meter, [&] {
      Pass(**meter, 10'000);
      total_uj_ = later_uj;
    });
  }
  absl::StatusOr<int64_t> total_uj_ = 1'000'000;
};

TEST_F(HostMeterTest, ADevicesEnergyIsShared) {
  const EnergySample sample = TenSeconds(21'000'000);
  EXPECT_EQ(sample.machine_energy_uj, 20'000'000);
  EXPECT_EQ(sample.energy_uj, 5'000'000);
  EXPECT_EQ(sample.quality, EnergyQuality::kDerived);
}

TEST_F(HostMeterTest, AProcessesEnergyIsItsOwn) {
  env_.host->scope = EnergyScope::kProcess;
  env_.host->idle_subtracted = true;
  const EnergySample sample = TenSeconds(1'700'000);
  EXPECT_EQ(sample.energy_uj, 700'000);
  EXPECT_EQ(sample.quality, EnergyQuality::kMeasured);
  EXPECT_TRUE(sample.idle_subtracted);
  EXPECT_EQ(TenSeconds(1'700'000).energy_uj, 0) << "without its idle part it may be nothing";
}

TEST_F(HostMeterTest, ARestartOfTheDeviceBreaksTheWindow) {
  EXPECT_THAT(TenSeconds(10).reason, HasSubstr("restarted"));
}

TEST_F(HostMeterTest, ErrorsAndNonsenseOfTheAppAreGaps) {
  EXPECT_THAT(TenSeconds(absl::InternalError("the app's binder died")).reason,
              HasSubstr("binder died"));
  total_uj_ = 5;
  EXPECT_THAT(TenSeconds(-5).reason, HasSubstr("less than 0"));
  total_uj_ = 5;
  EXPECT_THAT(TenSeconds(1'000'000'000'000'000).reason, HasSubstr("nonsense"));
}

TEST_F(HostMeterTest, WithoutAnAppThereIsNone) {
  total_uj_ = absl::PermissionDeniedError("no permission");
  EXPECT_THAT(std::string(MakeHostMeter(env_).status().message()), HasSubstr("no permission"));
  env_.host.reset();
  EXPECT_TRUE(absl::IsUnavailable(MakeHostMeter(env_).status()));
}

}  // namespace
}  // namespace fedwatt
