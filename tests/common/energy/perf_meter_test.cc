#include "common/energy/perf_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kDir[] = "sys/bus/event_source/devices/power/";
constexpr double kCountsPerJoule = 4294967296;  // 2^32

class PerfMeterTest : public MeterTest {
 protected:
  void SetUp() override {
    MeterTest::SetUp();
    tree_.Write(std::string(kDir) + "type", 23);
    tree_.Write(std::string(kDir) + "cpumask", "0,18");
    Event("energy-pkg", "event=0x02");
  }
  void Event(const std::string& name, const std::string& config) {
    const std::string path = std::string(kDir) + "events/" + name;
    tree_.Write(path, config);
    tree_.Write(path + ".scale", "2.3283064365386962890625e-10");
    tree_.Write(path + ".unit", "Joules");
  }
  void Rise(uint64_t config, double joules) {
    perf_.counts[config] += static_cast<uint64_t>(joules * kCountsPerJoule);
  }
  std::string Error() { return std::string(MakePerfMeter(env_).status().message()); }
};

TEST_F(PerfMeterTest, AddsThePackagesAndTheirMemory) {
  Event("energy-ram", "event=0x03");
  Event("energy-cores", "event=0x01");
  const auto meter = MakePerfMeter(env_);
  ASSERT_TRUE(meter.ok()) << meter.status();
  EXPECT_EQ((*meter)->description(),
            "energy-pkg on cpu 0, energy-pkg on cpu 18, energy-ram on cpu 0, energy-ram on cpu 18");
  ASSERT_EQ(perf_.opened.size(), 4u);
  EXPECT_EQ(perf_.opened[1].type, 23u);
  EXPECT_EQ(perf_.opened[1].cpu, 18);
  const EnergySample sample = Measure(**meter, [&] {
    Pass(**meter, 1000, 4, 1, [&](double seconds) {
      Rise(2, 30 * seconds);
      Rise(3, 5 * seconds);
      Rise(1, 17 * seconds);  // inside the package
    });
  });
  EXPECT_EQ(sample.machine_energy_uj, 70'000'000) << "two of each";
  EXPECT_EQ(sample.energy_uj, 17'500'000);
}

TEST_F(PerfMeterTest, PsysIsTakenOnlyWhereThereIsNoPackage) {
  Event("energy-psys", "event=0x05");
  EXPECT_THAT((*MakePerfMeter(env_))->description(), HasSubstr("energy-pkg"));
  tree_.Remove(std::string(kDir) + "events/energy-pkg");
  EXPECT_THAT((*MakePerfMeter(env_))->description(), HasSubstr("energy-psys"));
}

TEST_F(PerfMeterTest, ACounterThatGoesBackIsUnavailable) {
  perf_.counts[2] = 5'000'000'000;
  const auto meter = MakePerfMeter(env_);
  const EnergySample sample = Measure(**meter, [&] {
    Pass(**meter, 1000);
    perf_.counts[2] = 7;
  });
  EXPECT_THAT(sample.reason, HasSubstr("went back"));
}

TEST_F(PerfMeterTest, WithoutThePrivilegeItSaysWhichOne) {
  tree_.Write("proc/sys/kernel/perf_event_paranoid", 3);
  perf_.open_error = absl::PermissionDeniedError("perf_event_open on cpu 0: Permission denied");
  EXPECT_THAT(Error(), AllOf(HasSubstr("perf_event_paranoid is 3"), HasSubstr("CAP_PERFMON")));
}

TEST_F(PerfMeterTest, AVirtualMachineHasNoSuchEvents) {
  tree_.Remove("sys/bus/event_source");
  EXPECT_THAT(Error(), HasSubstr("devices/power/type"));
}

TEST_F(PerfMeterTest, FilesThatMakeNoSenseAreNamed) {
  for (const char* const mask : {"", "x", "3-1", "0-99999"}) {
    tree_.Write(std::string(kDir) + "cpumask", mask);
    EXPECT_THAT(Error(), HasSubstr("not a list of processors")) << mask;
  }
  tree_.Write(std::string(kDir) + "cpumask", "0-1");
  for (const char* const scale : {"0", "-1", "nan", "inf", "x"}) {
    tree_.Write(std::string(kDir) + "events/energy-pkg.scale", scale);
    EXPECT_THAT(Error(), HasSubstr("energy-pkg.scale")) << scale;
  }
  Event("energy-pkg", "umask=0x02");
  EXPECT_THAT(Error(), HasSubstr("not an event="));
  Event("energy-pkg", "event=0x02");
  tree_.Write(std::string(kDir) + "events/energy-pkg.unit", "Watts");
  EXPECT_THAT(Error(), HasSubstr("counts Watts"));
}

// The real system call, on whatever this machine is: it answers, or says why not.
TEST(PerfCounterTest, TheSystemCallAnswersOrSaysWhy) {
  constexpr uint32_t kNoSuchType = 4'000'000'000;
  const auto counter = OpenPerfCounter({.type = kNoSuchType});
  ASSERT_FALSE(counter.ok());
  EXPECT_THAT(std::string(counter.status().message()), HasSubstr("perf_event_open on cpu 0: "));
}

}  // namespace
}  // namespace fedwatt
