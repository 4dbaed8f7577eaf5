#include "common/energy/rapl_meter.h"

#include <sys/stat.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class RaplMeterTest : public MeterTest {
 protected:
  EnergySample Measure(EnergyMeter& meter, const std::function<void()>& work) {
    const auto window = meter.Begin(Phase::kTrain);
    work();
    return meter.End(window, 0);
  }
};

TEST_F(RaplMeterTest, GivesThisProcessItsShareOfAllPackages) {
  Package("intel-rapl:0", "package-0", 1000);
  Package("intel-rapl:1", "package-1", 5000);
  Package("intel-rapl:0:0", "core", 400);           // inside package-0
  Package("intel-rapl-mmio:0", "package-0", 1000);  // counts package-0 once more
  const auto meter = MakeRaplMeter(env_);
  ASSERT_TRUE(meter.ok()) << meter.status();
  const EnergySample sample = Measure(**meter, [&] {
    Counter("intel-rapl:0", 1000 + 600);
    Counter("intel-rapl:1", 5000 + 200);
    own_us_ += 100;
    machine_us_ += 400;
    clock_.AdvanceMs(1000);
  });
  EXPECT_EQ(sample.machine_energy_uj, 800);
  EXPECT_EQ(sample.energy_uj, 200);
  EXPECT_EQ(sample.quality, EnergyQuality::kDerived);
  EXPECT_EQ(sample.scope, EnergyScope::kProcess);
}

TEST_F(RaplMeterTest, WithoutAShareThePackagesAreMeasured) {
  Package("intel-rapl:0", "package-0", 1000);
  env_.machine_cpu_time_us = nullptr;
  const auto meter = MakeRaplMeter(env_);
  const EnergySample sample = Measure(**meter, [&] { Counter("intel-rapl:0", 1700); });
  EXPECT_EQ(sample.energy_uj, 700);
  EXPECT_EQ(sample.quality, EnergyQuality::kMeasured);
  EXPECT_EQ(sample.scope, EnergyScope::kPackage);
}

TEST_F(RaplMeterTest, AWrapCountsOn) {
  Package("intel-rapl:0", "package-0", 262143328850 - 10);
  const auto meter = MakeRaplMeter(env_);
  EXPECT_EQ(Measure(**meter, [&] { Counter("intel-rapl:0", 5); }).machine_energy_uj, 15);
}

TEST_F(RaplMeterTest, AWindowSoLongThatTwoWrapsFitIsUnavailable) {
  Package("intel-rapl:0", "package-0", 10);
  const auto meter = MakeRaplMeter(env_);
  const EnergySample sample = Measure(**meter, [&] {
    clock_.AdvanceMs(3'600'000);
    Counter("intel-rapl:0", 20);
  });
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(sample.energy_uj.has_value());
}

TEST_F(RaplMeterTest, WithoutARangeACounterThatGoesBackIsUnavailable) {
  Package("intel-rapl:0", "package-0", 100);
  std::filesystem::remove(root_ + "/sys/class/powercap/intel-rapl:0/max_energy_range_uj");
  const auto meter = MakeRaplMeter(env_);
  EXPECT_FALSE(Measure(**meter, [&] { Counter("intel-rapl:0", 5); }).energy_uj.has_value());
}

TEST_F(RaplMeterTest, ACounterThatVanishesIsAGapNotAZero) {
  Package("intel-rapl:0", "package-0", 100);
  const auto meter = MakeRaplMeter(env_);
  const EnergySample sample = Measure(**meter, [&] {
    std::filesystem::remove(root_ + "/sys/class/powercap/intel-rapl:0/energy_uj");
  });
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(sample.energy_uj.has_value());
}

TEST_F(RaplMeterTest, PsysIsTakenOnlyWhereThereIsNoPackage) {
  Package("intel-rapl:1", "psys", 0);
  const auto alone = MakeRaplMeter(env_);
  EXPECT_EQ(Measure(**alone, [&] { Counter("intel-rapl:1", 9); }).machine_energy_uj, 9);
  Package("intel-rapl:0", "package-0", 0);
  const auto both = MakeRaplMeter(env_);
  EXPECT_EQ(Measure(**both,
                    [&] {
                      Counter("intel-rapl:0", 4);
                      Counter("intel-rapl:1", 20);
                    })
                .machine_energy_uj,
            4);
}

TEST_F(RaplMeterTest, AVirtualMachineSaysWhyItHasNone) {
  const auto meter = MakeRaplMeter(env_);
  ASSERT_TRUE(absl::IsUnavailable(meter.status()));
  EXPECT_THAT(std::string(meter.status().message()), HasSubstr("sys/class/powercap"));
}

TEST_F(RaplMeterTest, ACounterOfNonsenseIsRefusedAtTheStart) {
  Package("intel-rapl:0", "package-0", 100);
  Write("sys/class/powercap/intel-rapl:0/energy_uj", "-5\n");
  EXPECT_TRUE(absl::IsUnavailable(MakeRaplMeter(env_).status()));
}

}  // namespace
}  // namespace fedwatt
