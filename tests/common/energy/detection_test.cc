#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

// What auto-detection picks on each kind of host, why, and what scripted windows give.
namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class DetectionTest : public MeterTest {
 protected:
  std::unique_ptr<EnergyMeter> Auto() {
    auto choice = ChooseEnergyMeter("auto", env_);
    EXPECT_TRUE(choice.ok()) << choice.status();
    why_ = choice->why;
    rejected_ = choice->rejected;
    return std::move(choice->meter);
  }

  std::string why_;
  std::vector<std::string> rejected_;
};

TEST_F(DetectionTest, AnIntelLaptopUsesThePackageOnceAndNotItsTwinPsysOrBattery) {
  BuildIntelLaptop(tree_);
  const auto meter = Auto();
  EXPECT_EQ(why_, "rapl (derived, process): the best this host has");
  EXPECT_EQ(meter->description(), "intel-rapl:0 package-0");
  EXPECT_THAT(rejected_, Contains(StartsWith("host: ")));
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 2000, 2, 0.5, [&](double seconds) {
      tree_.Spend("sys/class/powercap/intel-rapl:0/energy_uj", 10 * seconds);
      tree_.Spend("sys/class/powercap/intel-rapl-mmio:0/energy_uj", 10 * seconds);
      tree_.Spend("sys/class/powercap/intel-rapl:0:0/energy_uj", 7 * seconds);
      tree_.Spend("sys/class/powercap/intel-rapl:1/energy_uj", 18 * seconds);
    });
  });
  EXPECT_EQ(sample.machine_energy_uj, 20'000'000);
  EXPECT_EQ(sample.energy_uj, 5'000'000);
  EXPECT_FALSE(sample.idle_subtracted);
  EXPECT_THAT(sample.beside, IsEmpty());
}

TEST_F(DetectionTest, ATwoSocketServerAddsItsPackages) {
  BuildAmdServer(tree_);
  const auto meter = Auto();
  EXPECT_EQ(meter->description(), "intel-rapl:0 package-0, intel-rapl:1 package-1");
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 5000, 64, 16, [&](double seconds) {
      tree_.Spend("sys/class/powercap/intel-rapl:0/energy_uj", 180 * seconds);
      tree_.Spend("sys/class/powercap/intel-rapl:1/energy_uj", 120 * seconds);
      tree_.Spend("sys/class/hwmon/hwmon2/energy1_input", 180 * seconds);
    });
  });
  EXPECT_EQ(sample.machine_energy_uj, 1'500'000'000);
  EXPECT_EQ(sample.energy_uj, 375'000'000);
}

TEST_F(DetectionTest, AServerThatHidesPowercapFallsBackToHwmonsSockets) {
  BuildAmdServer(tree_);
  Fail("sys/class/powercap/intel-rapl:0/energy_uj", EACCES);
  const auto meter = Auto();
  EXPECT_EQ(meter->name(), "hwmon");
  EXPECT_EQ(meter->description(), "amd_energy Esocket0, amd_energy Esocket1");
  EXPECT_THAT(rejected_, Contains(AllOf(StartsWith("rapl: "), HasSubstr("chmod a+r"))));
}

TEST_F(DetectionTest, AJetsonOrinUsesItsTotalRailAlone) {
  BuildJetsonOrin(tree_);
  const auto meter = Auto();
  EXPECT_EQ(why_, "ina3221 (derived, process): the best this host has");
  EXPECT_EQ(meter->description(), "ina3221 VDD_IN");
  const EnergySample sample = Measure(*meter, [&] { Pass(*meter, 10'000, 4, 1); });
  EXPECT_EQ(sample.machine_energy_uj, 60'000'000) << "6 W";
  EXPECT_EQ(sample.energy_uj, 15'000'000);
}

TEST_F(DetectionTest, AJetsonNanoUsesTheOlderPaths) {
  BuildJetsonNano(tree_);
  const auto meter = Auto();
  EXPECT_EQ(meter->description(), "ina3221 POM_5V_IN");
  const EnergySample sample = Measure(*meter, [&] { Pass(*meter, 10'000, 4, 4); });
  EXPECT_EQ(sample.energy_uj, 40'000'000) << "4 W, all ours";
}

TEST_F(DetectionTest, APhoneUsesItsBatteryWhateverTheSign) {
  BuildPhone(tree_);
  const auto meter = Auto();
  EXPECT_EQ(why_, "battery (derived, process): the best this host has");
  const EnergySample sample = Measure(*meter, [&] { Pass(*meter, 30'000, 2, 1); });
  EXPECT_EQ(sample.machine_energy_uj, 60'000'000) << "2 W";
  EXPECT_EQ(sample.energy_uj, 30'000'000);
}

TEST_F(DetectionTest, AVirtualMachineEstimatesAndSaysWhatEveryMeterLacked) {
  BuildVirtualMachine(tree_);
  const auto meter = Auto();
  EXPECT_EQ(why_, "cpu_time (estimated, process): the best this host has");
  for (const char* const name : {"host", "rapl", "perf", "ina3221", "hwmon", "battery", "nvml"}) {
    EXPECT_THAT(rejected_, Contains(StartsWith(std::string(name) + ": "))) << name;
  }
  EXPECT_EQ(Measure(*meter, [&] { Pass(*meter, 1000, 2, 1); }).energy_uj, 6'000'000);
}

TEST_F(DetectionTest, AGpuStandsBesideThePackageAndIsNeverAdded) {
  BuildIntelLaptop(tree_);
  gpus_.load_error = absl::OkStatus();
  gpus_.energy_mj = {50'000};
  const auto meter = Auto();
  EXPECT_EQ(why_,
            "rapl (derived, process): the best this host has; beside it, never added: nvml "
            "(measured, board)");
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 2000, 2, 0.5, [&](double seconds) {
      tree_.Spend("sys/class/powercap/intel-rapl:0/energy_uj", 10 * seconds);
    });
    gpus_.energy_mj[0] = 50'000 + 400'000;
  });
  EXPECT_EQ(sample.machine_energy_uj, 20'000'000);
  EXPECT_EQ(sample.source, "rapl");
  ASSERT_THAT(sample.beside, SizeIs(1));
  EXPECT_EQ(sample.beside[0].source, "nvml");
  EXPECT_EQ(sample.beside[0].energy_uj, 400'000'000);
  EXPECT_EQ(sample.beside[0].scope, EnergyScope::kBoard);
  EXPECT_EQ(sample.beside[0].quality, EnergyQuality::kMeasured);
  EXPECT_EQ(sample.beside[0].phase, Phase::kTrain);
}

TEST_F(DetectionTest, ALinkAddsTheRadioToTransfersAlone) {
  env_.link = RadioLink::kLte;
  const auto meter = Auto();
  EXPECT_THAT(why_, HasSubstr("beside it, never added: radio (estimated, process)"));
  const auto training = meter->Begin(Phase::kTrain);
  EXPECT_THAT(meter->End(training, 0).beside, IsEmpty());
  const auto upload = meter->Begin(Phase::kUpload);
  Pass(*meter, 1000);
  const EnergySample sample = meter->End(upload, 500'000);
  ASSERT_THAT(sample.beside, SizeIs(1));
  EXPECT_EQ(sample.beside[0].source, "radio");
  EXPECT_GT(sample.beside[0].energy_uj, 0);
}

TEST_F(DetectionTest, TheHostAppsOwnMeterComesFirst) {
  BuildPhone(tree_);
  int64_t total_uj = 1000;
  env_.host = HostEnergy{.total_uj = [&] { return total_uj; }};
  const auto meter = Auto();
  EXPECT_EQ(meter->name(), "host");
}

TEST_F(DetectionTest, ByNameItIsThatOneOrAnError) {
  EXPECT_TRUE(absl::IsUnavailable(ChooseEnergyMeter("rapl", env_).status()));
  EXPECT_THAT(std::string(ChooseEnergyMeter("cpu_tme", env_).status().message()),
              HasSubstr("did you mean \"cpu_time\""));
  EXPECT_TRUE(absl::IsNotFound(ChooseEnergyMeter("", env_).status()));
}

TEST_F(DetectionTest, SeveralByNameTheFirstGivesTheFigure) {
  BuildIntelLaptop(tree_);
  const auto choice = ChooseEnergyMeter("battery+rapl", env_);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(
      choice->why,
      "battery (derived, process): as asked; beside it, never added: rapl (derived, process)");
  EnergyMeter& meter = *choice->meter;
  const EnergySample sample = Measure(meter, [&] {
    Pass(meter, 10'000, 1, 1, [&](double seconds) {
      tree_.Spend("sys/class/powercap/intel-rapl:0/energy_uj", 3 * seconds);
    });
  });
  EXPECT_EQ(sample.energy_uj, 120'000'000) << "12 W";
  ASSERT_THAT(sample.beside, SizeIs(1));
  EXPECT_EQ(sample.beside[0].energy_uj, 30'000'000);
}

TEST_F(DetectionTest, ASurveyNamesEveryMeterWithWhatItReadsOrLacks) {
  BuildIntelLaptop(tree_);
  const std::vector<MeterFinding> findings = SurveyEnergyMeters(env_);
  ASSERT_EQ(findings.size(), BuiltinEnergyMeters().size());
  for (const MeterFinding& finding : findings) {
    EXPECT_FALSE(finding.detail.empty()) << finding.name;
    const bool expected =
        finding.name == "rapl" || finding.name == "battery" || finding.name == "cpu_time";
    EXPECT_EQ(finding.available, expected) << finding.name << ": " << finding.detail;
    EXPECT_EQ(finding.quality == EnergyQuality::kUnavailable, !expected) << finding.name;
  }
}

}  // namespace
}  // namespace fedwatt
