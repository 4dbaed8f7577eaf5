#include "common/energy/rapl_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kDir[] = "sys/class/powercap/";
constexpr int64_t kRangeUj = 262'143'328'850;

class RaplMeterTest : public MeterTest {
 protected:
  void Counter(const std::string& id, int64_t energy_uj) {
    tree_.Write(kDir + id + "/energy_uj", energy_uj);
  }
  std::unique_ptr<EnergyMeter> Make() {
    auto meter = MakeRaplMeter(env_);
    EXPECT_TRUE(meter.ok()) << meter.status();
    return *std::move(meter);
  }
  std::string Error() { return std::string(MakeRaplMeter(env_).status().message()); }

  // A window of one second at whose end the counters show these.
  EnergySample Second(EnergyMeter& meter, const std::map<std::string, int64_t>& counters) {
    return Measure(meter, [&] {
      clock_.AdvanceMs(1000);
      machine_us_ += 400'000;
      own_us_ += 100'000;
      for (const auto& [id, energy_uj] : counters) Counter(id, energy_uj);
    });
  }
};

TEST_F(RaplMeterTest, GivesThisProcessItsShareOfAllPackages) {
  tree_.Rapl("intel-rapl:0", "package-0", 1000);
  tree_.Rapl("intel-rapl:1", "package-1", 5000);
  tree_.Rapl("intel-rapl:0:0", "core", 400);           // inside package-0
  tree_.Rapl("intel-rapl-mmio:0", "package-0", 1000);  // counts package-0 once more
  const EnergySample sample = Second(*Make(), {{"intel-rapl:0", 1600}, {"intel-rapl:1", 5200}});
  EXPECT_EQ(sample.machine_energy_uj, 800);
  EXPECT_EQ(sample.energy_uj, 200);
  EXPECT_EQ(sample.quality, EnergyQuality::kDerived);
  EXPECT_EQ(sample.scope, EnergyScope::kProcess);
}

TEST_F(RaplMeterTest, WithoutAShareThePackagesAreMeasured) {
  tree_.Rapl("intel-rapl:0", "package-0", 1000);
  env_.machine_cpu_time_us = nullptr;
  const EnergySample sample = Second(*Make(), {{"intel-rapl:0", 1700}});
  EXPECT_EQ(sample.energy_uj, 700);
  EXPECT_EQ(sample.quality, EnergyQuality::kMeasured);
  EXPECT_EQ(sample.scope, EnergyScope::kPackage);
  EXPECT_FALSE(sample.machine_energy_uj.has_value());
}

TEST_F(RaplMeterTest, AnIdleFigureIsSubtractedFromTheMachine) {
  tree_.Rapl("intel-rapl:0", "package-0", 0);
  env_.idle_watts["rapl"] = 2;
  const EnergySample sample = Second(*Make(), {{"intel-rapl:0", 10'000'000}});
  EXPECT_EQ(sample.machine_energy_uj, 10'000'000);
  EXPECT_EQ(sample.energy_uj, 2'000'000) << "a quarter of 10 J - 2 W x 1 s";
  EXPECT_TRUE(sample.idle_subtracted);
}

TEST_F(RaplMeterTest, MemoryBesideAPackageIsAdded) {
  tree_.Rapl("intel-rapl:a", "package-10", 0);  // ids are hexadecimal
  tree_.Rapl("intel-rapl:a:1f", "dram", 0);
  const auto meter = Make();
  EXPECT_EQ(meter->description(), "intel-rapl:a package-10, intel-rapl:a:1f dram");
  EXPECT_EQ(Second(*meter, {{"intel-rapl:a", 100}, {"intel-rapl:a:1f", 30}}).machine_energy_uj,
            130);
}

TEST_F(RaplMeterTest, PsysIsTakenOnlyWhereThereIsNoPackage) {
  tree_.Rapl("intel-rapl:1", "psys", 0);
  EXPECT_EQ(Second(*Make(), {{"intel-rapl:1", 9}}).machine_energy_uj, 9);
  tree_.Rapl("intel-rapl:0", "package-0", 0);
  EXPECT_EQ(Second(*Make(), {{"intel-rapl:0", 4}, {"intel-rapl:1", 20}}).machine_energy_uj, 4);
}

TEST_F(RaplMeterTest, ATwinThatCanBeReadStandsInForOneThatCannot) {
  tree_.Rapl("intel-rapl:0", "package-0", 0);
  tree_.Rapl("intel-rapl:0:2", "dram", 0);
  tree_.Rapl("intel-rapl-mmio:0", "package-0", 0);
  Fail("sys/class/powercap/intel-rapl:0/energy_uj", EINVAL);
  const auto meter = Make();
  EXPECT_EQ(meter->description(), "intel-rapl-mmio:0 package-0, intel-rapl:0:2 dram");
}

TEST_F(RaplMeterTest, AWrapCountsOn) {
  tree_.Rapl("intel-rapl:0", "package-0", kRangeUj - 10);
  EXPECT_EQ(Second(*Make(), {{"intel-rapl:0", 5}}).machine_energy_uj, 15);
}

TEST_F(RaplMeterTest, AWindowSoLongThatTwoWrapsFitIsUnavailableUnlessItIsPolled) {
  tree_.Rapl("intel-rapl:0", "package-0", 10);
  const auto meter = Make();
  const EnergySample unseen = Measure(*meter, [&] {
    clock_.AdvanceMs(3'600'000);
    Counter("intel-rapl:0", 20);
  });
  EXPECT_EQ(unseen.quality, EnergyQuality::kUnavailable);
  EXPECT_THAT(unseen.reason, HasSubstr("may have wrapped twice"));
  const EnergySample polled = Measure(*meter, [&] {
    Pass(*meter, 3'600'000, 1, 1, [&](double seconds) {
      tree_.Spend("sys/class/powercap/intel-rapl:0/energy_uj", 200 * seconds);
    });
  });
  EXPECT_EQ(polled.energy_uj, 720'000'000'000) << "200 W for an hour: it wrapped twice";
  EXPECT_EQ(polled.coverage, 1);
}

TEST_F(RaplMeterTest, IsPolledTwiceInTheTimeOfAWrap) {
  tree_.Rapl("intel-rapl:0", "package-0", 10);
  tree_.Write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", 10'000'000'000);
  EXPECT_EQ(Make()->PollPeriodUs(), 10'000'000) << "10 kJ at 500 W wrap after 20 s";
}

TEST_F(RaplMeterTest, AResetIsNoWrap) {
  tree_.Rapl("intel-rapl:0", "package-0", 100'000'000'000);
  const EnergySample sample = Second(*Make(), {{"intel-rapl:0", 5'000'000}});
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_THAT(sample.reason, AllOf(HasSubstr("intel-rapl:0 package-0"), HasSubstr("reset")));
}

TEST_F(RaplMeterTest, AJumpBeyondAllWattsIsNonsense) {
  tree_.Rapl("intel-rapl:0", "package-0", 100);
  const EnergySample sample = Second(*Make(), {{"intel-rapl:0", 999'999'999'999'999}});
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, HasSubstr("more than 500 W"));
}

TEST_F(RaplMeterTest, WithoutARangeACounterThatGoesBackIsUnavailable) {
  tree_.Rapl("intel-rapl:0", "package-0", 100);
  tree_.Remove("sys/class/powercap/intel-rapl:0/max_energy_range_uj");
  const auto meter = Make();
  const EnergySample sample = Second(*meter, {{"intel-rapl:0", 5}});
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, HasSubstr("its range is unknown"));
  EXPECT_EQ(Second(*meter, {{"intel-rapl:0", 45}}).machine_energy_uj, 40) << "the next is sound";
}

TEST_F(RaplMeterTest, ACounterThatVanishesIsAGapNotAZero) {
  tree_.Rapl("intel-rapl:0", "package-0", 100);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    clock_.AdvanceMs(1000);
    tree_.Remove("sys/class/powercap/intel-rapl:0/energy_uj");
  });
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, AllOf(HasSubstr("only 0 %"), HasSubstr("No such file")));
}

TEST_F(RaplMeterTest, AReadingThatFailsInBetweenLosesNothing) {
  tree_.Rapl("intel-rapl:0", "package-0", 100);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    clock_.AdvanceMs(1000);
    tree_.Write("sys/class/powercap/intel-rapl:0/energy_uj", "");
    meter->Poll();
    clock_.AdvanceMs(1000);
    own_us_ = machine_us_ = 50'000;
    Counter("intel-rapl:0", 600);
  });
  EXPECT_EQ(sample.energy_uj, 500);
  EXPECT_EQ(sample.coverage, 1);
}

TEST_F(RaplMeterTest, ACounterOfZerosIsNotAMachineWithoutPower) {
  tree_.Rapl("intel-rapl:0", "package-0", 0);
  const EnergySample sample = Second(*Make(), {});
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, HasSubstr("did not move"));
}

TEST_F(RaplMeterTest, AWindowBelowTheCountersStepIsUnavailable) {
  tree_.Rapl("intel-rapl:0", "package-0", 0);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] { Counter("intel-rapl:0", 900); });
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, HasSubstr("shorter than the 1 ms"));
}

TEST_F(RaplMeterTest, SigmaSaysHowLittleAShortWindowTells) {
  tree_.Rapl("intel-rapl:0", "package-0", 0);
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    clock_.AdvanceMs(2);
    machine_us_ += 2000;
    own_us_ += 2000;
    Counter("intel-rapl:0", 20'000);
  });
  ASSERT_TRUE(sample.sigma_uj.has_value()) << sample.reason;
  EXPECT_GT(*sample.sigma_uj, *sample.energy_uj / 4);
}

TEST_F(RaplMeterTest, AVirtualMachineSaysWhyItHasNone) {
  EXPECT_THAT(Error(), HasSubstr("sys/class/powercap"));
  tree_.Write("sys/class/powercap/intel-rapl/enabled", 0);
  EXPECT_THAT(Error(), HasSubstr("has no package"));
}

TEST_F(RaplMeterTest, FilesForRootAloneAreNamedWithTheRemedy) {
  tree_.Rapl("intel-rapl:0", "package-0", 100);
  Fail("sys/class/powercap/intel-rapl:0/energy_uj", EACCES);
  EXPECT_THAT(Error(), AllOf(HasSubstr("intel-rapl:0/energy_uj"), HasSubstr("Permission denied"),
                             HasSubstr("chmod a+r")));
}

TEST_F(RaplMeterTest, HalfAMachineIsNotAMeasurement) {
  tree_.Rapl("intel-rapl:0", "package-0", 100);
  tree_.Rapl("intel-rapl:1", "package-1", 100);
  Fail("sys/class/powercap/intel-rapl:1/energy_uj", EINVAL);
  EXPECT_THAT(Error(), HasSubstr("intel-rapl:1/energy_uj"));
}

TEST_F(RaplMeterTest, MemoryThatIsListedButCannotBeReadIsLeftOut) {
  tree_.Rapl("intel-rapl:0", "package-0", 100);
  tree_.Rapl("intel-rapl:0:1", "dram", 100);
  Fail("sys/class/powercap/intel-rapl:0:1/energy_uj", EINVAL);
  EXPECT_EQ(Make()->description(), "intel-rapl:0 package-0");
}

TEST_F(RaplMeterTest, ACounterOfNonsenseIsRefusedAtTheStart) {
  tree_.Rapl("intel-rapl:0", "package-0", 100);
  for (const char* const text : {"-5", "12x", "", "99999999999999999999"}) {
    tree_.Write("sys/class/powercap/intel-rapl:0/energy_uj", text);
    EXPECT_TRUE(absl::IsUnavailable(MakeRaplMeter(env_).status())) << text;
  }
}

}  // namespace
}  // namespace fedwatt
