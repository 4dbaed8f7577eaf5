#include "common/energy/calibration.h"

#include <cmath>
#include <cstdlib>

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CalibrationTest : public MeterTest {
 protected:
  static std::string Text() {
    return "# a host\ncpu = Chip 9000\nsource = rapl\nwatts_per_busy_core = 4.5  # W\n"
           "relative_sigma = 0.03\nidle_watts = 2.5\n";
  }
  static std::string Error(const std::string& text) {
    return std::string(ParseCalibration(text).status().message());
  }
};

TEST_F(CalibrationTest, FitsIdleAndWattsPerBusyCore) {
  const auto fit = FitCalibration({{0.1, 5.4}, {1, 9}, {2, 13}, {4, 21}});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_NEAR(fit->watts_per_busy_core, 4, 1e-9);
  EXPECT_NEAR(fit->idle_watts, 5, 1e-9);
  EXPECT_EQ(fit->relative_sigma, 0.02) << "no run agrees better";
}

TEST_F(CalibrationTest, ScatterIsItsDeviation) {
  const auto fit = FitCalibration({{0, 5}, {1, 10}, {2, 12}, {3, 18}});
  ASSERT_TRUE(fit.ok()) << fit.status();
  EXPECT_NEAR(fit->watts_per_busy_core, 4.1, 1e-9);
  // Residuals -0.1, 0.8, -1.3, 0.6: their squares add up to 2.7, over 2 degrees of freedom and the
  // loads' sum of squares, 5.
  EXPECT_NEAR(fit->relative_sigma, std::sqrt(2.7 / 2 / 5) / 4.1, 1e-9);
}

TEST_F(CalibrationTest, PointsThatTellNothingAreRefused) {
  EXPECT_THAT(std::string(FitCalibration({{0, 1}, {1, 2}}).status().message()),
              HasSubstr("3 are needed"));
  EXPECT_THAT(std::string(FitCalibration({{2, 5}, {2, 6}, {2.01, 7}}).status().message()),
              HasSubstr("the load did not change"));
  EXPECT_THAT(std::string(FitCalibration({{0, 5}, {1, 5}, {2, 5}}).status().message()),
              HasSubstr("does not follow the load"));
  EXPECT_THAT(std::string(FitCalibration({{0, 9}, {1, 5}, {2, 1}}).status().message()),
              HasSubstr("does not follow the load"));
}

TEST_F(CalibrationTest, TheFileSurvivesARoundTrip) {
  const auto calibration = ParseCalibration(Text());
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  const auto again = ParseCalibration(FormatCalibration(*calibration));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->cpu, "Chip 9000");
  EXPECT_EQ(again->source, "rapl");
  EXPECT_EQ(again->watts_per_busy_core, 4.5);
  EXPECT_EQ(again->relative_sigma, 0.03);
  EXPECT_EQ(again->idle_watts, 2.5);
}

TEST_F(CalibrationTest, MistakesNameTheLine) {
  EXPECT_THAT(Error("cpu = x\nidle_wats = 3"),
              AllOf(HasSubstr("line 2"), HasSubstr("did you mean")));
  for (const char* const figure : {"-1", "0", "nan", "1e9", "x", ""}) {
    EXPECT_THAT(Error(std::string("watts_per_busy_core = ") + figure), HasSubstr("line 1"))
        << figure;
  }
  EXPECT_THAT(Error("hello"), HasSubstr("key = value"));
  EXPECT_THAT(Error(Text() + "cpu = y"), HasSubstr("twice"));
  EXPECT_THAT(Error("cpu = x"), HasSubstr("`source = ...` is missing"));
  EXPECT_TRUE(absl::IsNotFound(LoadCalibration(tree_.root() + "/none").status()));
  tree_.Write("bad", "cpu");
  EXPECT_THAT(std::string(LoadCalibration(tree_.root() + "/bad").status().message()),
              HasSubstr("/bad: line 1"));
}

TEST_F(CalibrationTest, AnotherProcessorsCalibrationIsRefused) {
  const EnergyCalibration calibration = *ParseCalibration(Text());
  tree_.Write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Chip 9000\nflags\t: fpu");
  ASSERT_TRUE(ApplyCalibration(calibration, &env_).ok());
  EXPECT_EQ(env_.watts_per_busy_core, 4.5);
  EXPECT_EQ(env_.idle_watts["rapl"], 2.5);
  tree_.Write("proc/cpuinfo", "model name\t: Chip 8000");
  EXPECT_THAT(std::string(ApplyCalibration(calibration, &env_).message()),
              AllOf(HasSubstr("Chip 8000"), HasSubstr("fedwatt meter calibrate")));
  tree_.Remove("proc/cpuinfo");
  EXPECT_FALSE(ApplyCalibration(calibration, &env_).ok());
}

TEST_F(CalibrationTest, AppliedItIsUsedByTheEstimateAndTheMeter) {
  tree_.Write("proc/cpuinfo", "model name : Chip 9000");
  tree_.Rapl("intel-rapl:0", "package-0", 0);
  ASSERT_TRUE(ApplyCalibration(*ParseCalibration(Text()), &env_).ok());
  const auto estimate = ChooseEnergyMeter("cpu_time", env_);
  EnergyMeter& meter = *estimate->meter;
  EXPECT_EQ(Measure(meter, [&] { Pass(meter, 1000, 2, 1); }).energy_uj, 4'500'000);
  const auto rapl = ChooseEnergyMeter("rapl", env_);
  const EnergySample sample = Measure(*rapl->meter, [&] {
    Pass(*rapl->meter, 1000, 2, 1, [&](double seconds) {
      tree_.Spend("sys/class/powercap/intel-rapl:0/energy_uj", 12.5 * seconds);
    });
  });
  EXPECT_EQ(sample.energy_uj, 5'000'000) << "half of 12.5 J - 2.5 J";
}

TEST_F(CalibrationTest, ThePathIsTheUsersUnlessNamed) {
  ASSERT_EQ(setenv("FEDWATT_CALIBRATION", "/x/y", 1), 0);
  EXPECT_EQ(DefaultCalibrationPath(), "/x/y");
  ASSERT_EQ(unsetenv("FEDWATT_CALIBRATION"), 0);
  ASSERT_EQ(setenv("XDG_CONFIG_HOME", "/c", 1), 0);
  EXPECT_EQ(DefaultCalibrationPath(), "/c/fedwatt/calibration");
  ASSERT_EQ(unsetenv("XDG_CONFIG_HOME"), 0);
  ASSERT_EQ(setenv("HOME", "/h", 1), 0);
  EXPECT_EQ(DefaultCalibrationPath(), "/h/.config/fedwatt/calibration");
  ASSERT_EQ(unsetenv("HOME"), 0);
  EXPECT_EQ(DefaultCalibrationPath(), "/etc/fedwatt/calibration");
}

}  // namespace
}  // namespace fedwatt
