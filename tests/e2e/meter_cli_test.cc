// `fedwatt meter` as an operator runs it. This machine may have any meter or none: what a host has
// is given by fixture trees.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "common/base/file.h"
#include "tests/common/energy/host_tree.h"
#include "tests/e2e/program.h"
#include "tests/e2e/wait_until.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class MeterCli : public testing::Test {
 protected:
  MeterCli() : tree_(testing::TempDir() + "/meter_cli_host") { BuildVirtualMachine(tree_); }

  Output Meter(std::vector<std::string> args, const std::vector<std::string>& command = {}) {
    std::vector<std::string> argv = {BinDir() + "/fedwatt", "meter"};
    argv.insert(argv.end(), args.begin(), args.end());
    argv.insert(argv.end(), {"--sysfs", tree_.root()});
    if (!command.empty()) argv.push_back("--");
    argv.insert(argv.end(), command.begin(), command.end());
    return RunToEnd({.argv = argv, .env = {"FEDWATT_CALIBRATION=" + Calibration()}},
                    testing::TempDir());
  }
  static std::string Calibration() { return testing::TempDir() + "/meter_cli_calibration"; }

  const HostTree tree_;
};

TEST_F(MeterCli, ListSaysWhatIsThereAndWhatIsMissing) {
  BuildJetsonOrin(tree_);
  const Output list = Meter({"list", "--json"});
  ASSERT_EQ(list.code, 0) << list.ToString();
  const auto out = list.Json();
  EXPECT_THAT(out["choice"].get<std::string>(),
              HasSubstr("ina3221 (derived, process): the best this host has"));
  size_t available = 0;
  for (const auto& meter : out["meters"]) {
    EXPECT_FALSE(meter[meter["available"].get<bool>() ? "reads" : "reason"].empty()) << meter;
    if (!meter["available"].get<bool>() || meter["name"] == "nvml") continue;  // no file
    ++available;
    EXPECT_TRUE(meter["name"] == "ina3221" || meter["name"] == "cpu_time") << meter;
  }
  EXPECT_EQ(available, 2u);
  const Output text = Meter({"list"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("rapl: cannot list"), HasSubstr("VDD_IN")));
}

TEST_F(MeterCli, ListOnAVirtualMachineIsHonest) {
  const Output list = Meter({"list"});
  ASSERT_EQ(list.code, 0) << list.ToString();
  EXPECT_THAT(list.out, AllOf(HasSubstr("takes cpu_time (estimated, process)"),
                              HasSubstr("a guess: not calibrated")));
}

TEST_F(MeterCli, MeasuresACommandWithItsOutputAndExitCode) {
  const std::string file = testing::TempDir() + "/meter_cli.json";
  const std::string work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo hello; exit 7";
  const Output run = Meter({"-o", file}, {"sh", "-c", work});
  EXPECT_EQ(run.code, 7) << run.ToString();
  EXPECT_EQ(run.out, "hello\n") << "the command's own output stays clean";
  EXPECT_THAT(run.err, AllOf(HasSubstr("W on average"), HasSubstr("cpu_time (estimated, process)"),
                             HasSubstr("coverage 100 %")));
  const auto written = ReadFile(file, 1 << 16);
  ASSERT_TRUE(written.ok()) << written.status();
  const auto out = nlohmann::json::parse(*written);
  EXPECT_EQ(out["exit_code"], 7);
  EXPECT_GT(out["energy_j"].get<double>(), 0.01);
  EXPECT_GT(out["sigma_j"].get<double>(), 0);
  EXPECT_GT(out["seconds"].get<double>(), 0);
  EXPECT_EQ(out["source"], "cpu_time");
}

TEST_F(MeterCli, ABoardsPowerIsIntegratedWhileTheCommandRuns) {
  BuildJetsonOrin(tree_);
  const Output run = Meter({"--json"}, {"sleep", "0.6"});
  ASSERT_EQ(run.code, 0) << run.ToString();
  const auto out = run.Json();
  ASSERT_EQ(out["source"], "ina3221");
  EXPECT_EQ(out["quality"], "derived");
  EXPECT_NEAR(out["machine_energy_j"].get<double>(),
              6 * out["seconds"].get<double>() * out["coverage"].get<double>(), 0.01);
}

TEST_F(MeterCli, ACommandThatCannotRunHasTheShellsCodes) {
  const Output missing = Meter({}, {"fedwatt-no-such-command"});
  EXPECT_EQ(missing.code, 127) << missing.ToString();
  EXPECT_THAT(missing.err, HasSubstr("fedwatt-no-such-command"));
  const Output folder = Meter({}, {"/"});
  EXPECT_EQ(folder.code, 126) << folder.ToString();
  const Output killed = Meter({}, {"sh", "-c", "kill -9 $$"});
  EXPECT_EQ(killed.code, 128 + SIGKILL) << killed.ToString();
}

TEST_F(MeterCli, WatchShowsALineAnIntervalInAPipeAndASummary) {
  BuildJetsonNano(tree_);
  const Output watch = Meter({"watch", "--for", "1.2", "--interval", "0.4"});
  ASSERT_EQ(watch.code, 0) << watch.ToString();
  EXPECT_THAT(watch.out,
              AllOf(HasSubstr("4.000 W  ina3221 (measured, board)"), HasSubstr("mean 4.000 W")));
  EXPECT_EQ(watch.out.find('\x1b'), std::string::npos);
  const Output lines = Meter({"watch", "--for", "0.5", "--interval", "0.2", "--json"});
  const auto json = lines.JsonLines();
  ASSERT_GE(json.size(), 2u) << lines.ToString();
  EXPECT_NEAR(json.back()["summary"]["mean_w"].get<double>(), 4, 1e-6);
}

TEST_F(MeterCli, CtrlCEndsWatchWithTheSummary) {
  const std::string log = testing::TempDir() + "/meter_watch.log";
  Program watch(
      {BinDir() + "/fedwatt", "meter", "watch", "--interval", "0.1", "--sysfs", tree_.root()}, log);
  ASSERT_TRUE(
      WaitUntil("the first watts", [&] { return watch.Log().find(" W  ") != std::string::npos; }));
  EXPECT_EQ(watch.Stop(), 0);
  EXPECT_THAT(watch.Log(), HasSubstr("mean "));
}

TEST_F(MeterCli, CalibrationNeedsARealMeterThatFollowsTheLoad) {
  const Output none = Meter({"calibrate", "--seconds", "0.5"});
  EXPECT_EQ(none.code, 5) << none.ToString();
  EXPECT_THAT(none.err, AllOf(HasSubstr("no meter to fit against"), HasSubstr("nothing")));
  BuildJetsonNano(tree_);
  const Output flat = Meter({"calibrate", "--seconds", "0.5"});
  EXPECT_EQ(flat.code, 6) << flat.ToString();
  EXPECT_THAT(flat.err, HasSubstr("error: "));
  EXPECT_FALSE(FileExists(Calibration())) << "nothing is written";
}

TEST_F(MeterCli, EachMistakeHasItsExitCode) {
  EXPECT_EQ(Meter({}).code, 2) << "neither a command of its own nor one to run";
  EXPECT_EQ(Meter({"watch", "--interval", "0"}).code, 2);
  EXPECT_EQ(Meter({"list", "--meter", "rapl"}).code, 5);
  const Output unknown = Meter({"watch", "--meter", "rappl"});
  EXPECT_EQ(unknown.code, 5);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean \"rapl\""));
}

}  // namespace
}  // namespace fedwatt::e2e
