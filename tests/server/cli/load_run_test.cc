#include "server/cli/load_run.h"

#include <utility>

#include "common/base/cpu_time.h"
#include "common/base/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/cli/energy_text.h"

namespace fedwatt::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A machine of 5 W and 3 W per busy core, seen by a meter of the host app's.
class LoadRunTest : public testing::Test {
 protected:
  LoadRunTest() {
    EnergyMeterEnv env;
    env.clock = &clock_;
    env.host = HostEnergy{.total_uj = [this] { return total_uj_; }};
    auto choice = ChooseEnergyMeter("host", env);
    meter_ = std::move(choice->meter);
    deps_.meter = meter_.get();
    deps_.clock = &clock_;
    deps_.machine_cpu_us = [this] { return cpu_us_; };
    deps_.load = [this](int cores, int64_t us) {
      clock_.AdvanceMs(us / 1000);
      cpu_us_ += cores * us;
      total_uj_ += (5 + 3 * cores) * us;
      return load_status_;
    };
  }

  FakeClock clock_;
  int64_t total_uj_ = 1;
  int64_t cpu_us_ = 0;
  absl::Status load_status_;
  std::unique_ptr<EnergyMeter> meter_;
  LoadRunDeps deps_;
  std::string why_not_;
};

TEST_F(LoadRunTest, FindsWhatTheMachineIsMadeOf) {
  const auto points = RunLoads(deps_, 8, 2'000'000, &why_not_);
  ASSERT_TRUE(points.ok()) << points.status();
  ASSERT_THAT(*points, SizeIs(6));
  EXPECT_NEAR((*points)[1].busy_cores, 4, 1e-9);
  EXPECT_NEAR((*points)[2].watts, 29, 1e-6);
  const auto fit = FitCalibration(*points);
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_NEAR(fit->watts_per_busy_core, 3, 1e-6);
  EXPECT_NEAR(fit->idle_watts, 5, 1e-6);
}

TEST_F(LoadRunTest, StretchesWithoutAFigureAreLeftOutWithTheReason) {
  const auto points = RunLoads(deps_, 2, 1000, &why_not_);
  ASSERT_TRUE(points.ok());
  EXPECT_THAT(*points, SizeIs(0));
  EXPECT_THAT(why_not_, HasSubstr("shorter than"));
}

TEST_F(LoadRunTest, AnInterruptionEndsIt) {
  load_status_ = absl::CancelledError("interrupted");
  EXPECT_TRUE(absl::IsCancelled(RunLoads(deps_, 2, 2'000'000, &why_not_).status()));
}

TEST(BusyCoresTest, SpendsCpuTimeUntilItsEnd) {
  const int64_t before_us = SelfCpuTimeUs();
  {
    const BusyCores busy(2);
    while (SelfCpuTimeUs() - before_us < 20'000) {
    }
  }
  EXPECT_GE(SelfCpuTimeUs() - before_us, 20'000);
}

TEST(EnergyTextTest, JoulesHaveAReadableUnit) {
  EXPECT_EQ(JoulesText(0), "0 J");
  EXPECT_EQ(JoulesText(85'200), "85.2 mJ");
  EXPECT_EQ(JoulesText(12'340'000), "12.3 J");
  EXPECT_EQ(JoulesText(4'560'000'000), "4.56 kJ");
  EXPECT_EQ(JoulesText(7'800'000'000'000), "7.8 MJ");
}

TEST(EnergyTextTest, UnknownIsNullAndAReasonNeverZero) {
  EnergySample sample;
  sample.source = "rapl";
  sample.reason = "it went back";
  sample.duration_us = 1'500'000;
  const nlohmann::json out = SampleJson(sample);
  EXPECT_TRUE(out["energy_j"].is_null() && out["watts"].is_null() && out["sigma_j"].is_null());
  EXPECT_EQ(out["reason"], "it went back");
  EXPECT_THAT(SampleText(sample),
              AllOf(HasSubstr("energy unavailable"), HasSubstr("it went back")));
}

TEST(EnergyTextTest, WhatIsBesideIsSaidToBeBeside) {
  EnergySample sample;
  sample.source = "rapl";
  sample.quality = EnergyQuality::kDerived;
  sample.energy_uj = 10'000'000;
  sample.machine_energy_uj = 40'000'000;
  sample.duration_us = 4'000'000;
  sample.coverage = 0.5;
  EnergySample gpu = sample;
  gpu.source = "nvml";
  gpu.scope = EnergyScope::kBoard;
  sample.beside = {gpu};
  EXPECT_EQ(WattsOf(sample), 5) << "over the half that was seen";
  EXPECT_THAT(SampleText(sample),
              AllOf(HasSubstr("10 J in 4.000 s, 5 W"), HasSubstr("machine  40 J"),
                    HasSubstr("beside   nvml (derived, board): 10 J, never added")));
  EXPECT_EQ(SampleJson(sample)["beside"][0]["source"], "nvml");
}

}  // namespace
}  // namespace fedwatt::cli
