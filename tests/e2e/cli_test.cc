// The command line: exit codes, JSON, and what it says when something is wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "tests/e2e/cut_proxy.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kJobFailed = 1;
constexpr int kUsage = 2;
constexpr int kUnreachable = 3;
constexpr int kRefused = 4;
constexpr int kNotFound = 5;
constexpr int kError = 6;

class Cli : public testing::Test {
 protected:
  Output Fedwatt(std::vector<std::string> args) {
    args.insert(args.begin(), BinDir() + "/fedwatt");
    return RunToEnd({.argv = args}, fleet_.scratch());
  }

  // The finding of `fedwatt doctor --json` whose check starts with `check`.
  nlohmann::json Finding(const Output& doctor, const std::string& check) {
    for (const auto& finding : doctor.Json()) {
      if (std::string(finding["check"]).rfind(check, 0) == 0) return finding;
    }
    ADD_FAILURE() << "no finding about " << check << " in " << doctor.ToString();
    return {{"verdict", ""}, {"detail", ""}, {"remedy", ""}};
  }

  Deployment fleet_{1};
};

TEST_F(Cli, EveryCommandHasHelpWithAnExample) {
  const std::vector<std::vector<std::string>> commands = {
      {"run"},           {"list"},          {"watch"},           {"stop"},
      {"resume"},        {"report"},        {"export"},          {"doctor"},
      {"health"},        {"certs", "init"}, {"certs", "issue"},  {"certs", "revoke"},
      {"certs", "keys"}, {"codec", "list"}, {"codec", "compare"}};
  for (std::vector<std::string> command : commands) {
    command.push_back("--help");
    const Output help = Fedwatt(command);
    EXPECT_EQ(help.code, 0) << help.ToString();
    EXPECT_THAT(help.out, HasSubstr("Example: fedwatt"));
  }
  EXPECT_THAT(Fedwatt({"--help"}).out, HasSubstr("Exit codes"));
  for (const std::string program : {"fedwatt-coordinator", "fedwatt-client", "fedwatt-torch"}) {
    const Output help = RunToEnd({.argv = {BinDir() + "/" + program, "--help"}}, fleet_.scratch());
    EXPECT_EQ(help.code, 0) << help.ToString();
    EXPECT_THAT(help.out, AllOf(HasSubstr("xample"), HasSubstr("xit codes"))) << program;
  }
}

TEST_F(Cli, UnknownWordsNameTheNearest) {
  const Output command = Fedwatt({"wach", "job"});
  EXPECT_EQ(command.code, kUsage);
  EXPECT_THAT(command.err, AllOf(HasSubstr("wach"), HasSubstr("watch")));
  const Output flag = Fedwatt({"list", "--al"});
  EXPECT_EQ(flag.code, kUsage);
  EXPECT_THAT(flag.err, HasSubstr("--al"));
  EXPECT_EQ(Fedwatt({}).code, kUsage);
  EXPECT_EQ(Fedwatt({"watch"}).code, kUsage);
  EXPECT_EQ(Fedwatt({"certs", "issue", "--role", "king"}).code, kUsage);
  const Output coordinator =
      RunToEnd({.argv = {BinDir() + "/fedwatt-coordinator", "--lisen", "x"}}, fleet_.scratch());
  EXPECT_EQ(coordinator.code, kUsage) << coordinator.ToString();
}

TEST_F(Cli, AMisspeltKeyIsShownWithItsPlaceAndTheNearest) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  const std::string path = fleet_.File("bad.toml");
  ASSERT_TRUE(
      WriteFileAtomic(path, "name = \"bad\"\n[dataset]\nname = \"d\"\n[round]\ngaol = 2\n").ok());
  const Output run = fleet_.Cli({"run", path});
  EXPECT_EQ(run.code, kUsage) << run.ToString();
  EXPECT_THAT(run.err, AllOf(HasSubstr("bad.toml:5"), HasSubstr("gaol"), HasSubstr("goal")));

  const Output set = fleet_.Cli({"run", fleet_.WriteJobFile({}), "--set", "round.gaol=3"});
  EXPECT_EQ(set.code, kUsage) << set.ToString();
  EXPECT_THAT(set.err, AllOf(HasSubstr("gaol"), HasSubstr("goal")));
}

TEST_F(Cli, BadJobFilesAreRefusedWithTheReason) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  const std::string file = fleet_.WriteJobFile({});
  struct Bad {
    std::string set;
    std::string said;
  };
  for (const Bad& bad : std::vector<Bad>{{"round.goal=0", "round.goal"},
                                         {"round.over_selection=0.5", "over_selection"},
                                         {"selector.name=unifrom", "uniform"},
                                         {"strategy.name=fedavgg", "fedavg"},
                                         {"codec.up=raw_f23", "raw_f32"},
                                         {"rounds=many", "rounds"},
                                         {"name=a job", "name"},
                                         {"bounds.max_abs_delta=1e30", "max_abs_delta"}}) {
    const Output run = fleet_.Cli({"run", file, "--detach", "--set", bad.set});
    EXPECT_EQ(run.code, kUsage) << bad.set << "\n" << run.ToString();
    EXPECT_THAT(run.err, HasSubstr(bad.said)) << bad.set;
  }
  const Output broken = fleet_.Cli({"run", fleet_.certs() + "/ca.pem"});
  EXPECT_EQ(broken.code, kUsage) << broken.ToString();
  const Output missing = fleet_.Cli({"run", fleet_.File("nothing.toml")});
  EXPECT_EQ(missing.code, kNotFound) << missing.ToString();
  EXPECT_THAT(missing.err, HasSubstr("nothing.toml"));
  const Output model = fleet_.Cli({"run", file, "--bundle", fleet_.File("nothing.fwb")});
  EXPECT_EQ(model.code, kNotFound) << model.ToString();
  EXPECT_THAT(model.err, HasSubstr("nothing.fwb"));
  EXPECT_EQ(fleet_.Cli({"list", "--all", "--json"}).Json()["jobs"].size(), 0u);
}

TEST_F(Cli, EachFailureHasItsExitCode) {
  const std::string nobody = "127.0.0.1:1";
  const Output away = Fedwatt({"--server", nobody, "--tls-dir", fleet_.certs(), "list"});
  EXPECT_EQ(away.code, kUnreachable) << away.ToString();
  EXPECT_THAT(away.err, AllOf(HasSubstr(nobody), HasSubstr("fedwatt doctor")));
  const Output no_certs = Fedwatt({"--server", nobody, "--tls-dir", fleet_.File("none"), "list"});
  EXPECT_EQ(no_certs.code, kNotFound) << no_certs.ToString();
  EXPECT_EQ(Fedwatt({"--server", "nonsense", "--tls-dir", fleet_.certs(), "list"}).code, kUsage);

  ASSERT_TRUE(fleet_.StartCoordinator());
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"watch", "ghost"},
                                             {"stop", "ghost"},
                                             {"resume", "ghost"},
                                             {"report", "ghost"},
                                             {"export", "ghost", "-o", fleet_.File("x.fwb")}}) {
    const Output output = fleet_.Cli(command);
    EXPECT_EQ(output.code, kNotFound) << command[0] << "\n" << output.ToString();
    EXPECT_THAT(output.err, HasSubstr("ghost"));
  }
  EXPECT_FALSE(FileExists(fleet_.File("x.fwb")));
  EXPECT_EQ(fleet_.Cli({"certs", "init", "--dir", fleet_.certs()}).code, kError);
}

TEST_F(Cli, ReportsAsTextAndAsAPageAndRefusesWrongAssumptions) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.StartClient("client-0");
  ASSERT_EQ(fleet_.Cli({"run", fleet_.WriteJobFile({.rounds = 2, .goal = 1})}).code, 0);

  const Output report =
      fleet_.Cli({"report", "echo", "--html", fleet_.File("r.html"), "-o", fleet_.File("r.json"),
                  "--joules-per-inference", "0.5", "--central-link", "lte"});
  EXPECT_EQ(report.code, 0) << report.ToString();
  EXPECT_THAT(report.out, HasSubstr("2 of 2 rounds"));
  EXPECT_THAT(report.out, HasSubstr("--central-link lte"));
  const auto page = ReadFile(fleet_.File("r.html"), 1 << 20);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(*page, HasSubstr("</html>"));
  EXPECT_TRUE(FileExists(fleet_.File("r.json")));

  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--central-pue", "0.9"},
                                             {"--central-link", "pigeon"},
                                             {"--central-bytes-per-example", "-1"},
                                             {"--central-compute-ratio", "nan"},
                                             {"--joules-per-inference", "0"},
                                             {"--central-devices", "many"}}) {
    const Output refused = fleet_.Cli({"report", "echo", wrong[0], wrong[1]});
    EXPECT_EQ(refused.code, kUsage) << refused.ToString();
    EXPECT_THAT(refused.err, HasSubstr(wrong[0]));
  }
  EXPECT_EQ(fleet_.Cli({"report", "echo", "--html", fleet_.File("no/such/r.html")}).code,
            kNotFound);
}

TEST_F(Cli, EveryCommandSpeaksJson) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.StartClient("client-0");
  const std::string file = fleet_.WriteJobFile({.rounds = 2, .goal = 1});
  const Output run = fleet_.Cli({"run", file, "--json"});
  EXPECT_EQ(run.code, 0) << run.ToString();
  EXPECT_FALSE(run.JsonLines().empty());
  for (const nlohmann::json& line : run.JsonLines()) EXPECT_TRUE(line.is_object()) << run.out;
  EXPECT_EQ(run.err, "");

  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"list", "--all"},
           {"watch", "echo"},
           {"report", "echo"},
           {"doctor"},
           {"export", "echo", "-o", fleet_.File("echo.fwb")},
           {"certs", "issue", "--dir", fleet_.certs(), "--id", "more", "--count", "2"},
           {"certs", "keys", "--dir", fleet_.certs()},
           {"certs", "init", "--dir", fleet_.File("new-certs")},
           {"certs", "revoke", "more-0", "--dir", fleet_.certs()}}) {
    std::vector<std::string> args = command;
    args.push_back("--json");
    const Output output = fleet_.Cli(args);
    EXPECT_EQ(output.code, 0) << command[0] << "\n" << output.ToString();
    const bool lines = command[0] == "watch";
    EXPECT_FALSE((lines ? output.JsonLines().at(0) : output.Json()).is_discarded()) << output.out;
  }
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"stop", "ghost"},
                                             {"resume", "ghost"},
                                             {"report", "ghost"},
                                             {"watch", "ghost"},
                                             {"run", "ghost.toml"},
                                             {"export", "ghost", "-o", "ghost.txt"}}) {
    std::vector<std::string> args = command;
    args.push_back("--json");
    const Output output = fleet_.Cli(args);
    ASSERT_TRUE(output.Json().is_object()) << command[0] << "\n" << output.ToString();
    EXPECT_EQ(output.Json()["exit_code"], output.code);
    EXPECT_NE(output.Json()["error"], "");
  }
}

TEST_F(Cli, LinesInAPipeAreQuiet) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.StartClient("client-0");
  const Output run = fleet_.Cli({"run", fleet_.WriteJobFile({.rounds = 2, .goal = 1})});
  ASSERT_EQ(run.code, 0) << run.ToString();
  EXPECT_THAT(run.out, AllOf(HasSubstr("round 1/2  committed  1/1 reports"),
                             HasSubstr("round 2/2  committed"), HasSubstr("model hash")));
  EXPECT_EQ(run.out.find('\x1b'), std::string::npos) << "no terminal codes in a pipe";
  EXPECT_EQ(run.out.find('\r'), std::string::npos);
}

TEST_F(Cli, DoctorFindsWhatIsWrong) {
  fleet_.AgeAuthority(30);
  const Output away =
      Fedwatt({"--server", "127.0.0.1:1", "--tls-dir", fleet_.certs(), "doctor", "--json"});
  EXPECT_EQ(away.code, kJobFailed) << away.ToString();
  EXPECT_EQ(Finding(away, "coordinator")["verdict"], "failure");
  EXPECT_THAT(std::string(Finding(away, "coordinator")["remedy"]),
              HasSubstr("fedwatt-coordinator"));
  EXPECT_THAT(std::string(Finding(away, "certificates")["detail"]), HasSubstr("2 in"));
  // Its authority is another one now.
  EXPECT_EQ(Finding(away, "certificate client-0")["verdict"], "failure");
  std::vector<std::string> renew = {"certs", "issue",    "--dir",    fleet_.certs(),
                                    "--id",  "client-0", "--replace"};
  ASSERT_EQ(Fedwatt(renew).code, 0);

  ASSERT_TRUE(fleet_.StartCoordinator());
  const Output well = fleet_.Cli({"doctor", "--json", "--data-dir", fleet_.data_dir()});
  EXPECT_EQ(well.code, 0) << well.ToString();
  for (const std::string check : {"coordinator", "versions", "clock", "certificates"}) {
    EXPECT_EQ(Finding(well, check)["verdict"], "ok") << well.out;
  }
  EXPECT_NE(Finding(well, "data folder")["verdict"], "failure");
  EXPECT_NE(Finding(well, "energy meter")["detail"], "");

  const CutProxy somebody(fleet_.port());
  const Output port = fleet_.Cli({"doctor", "--json", "--listen", somebody.address()});
  EXPECT_EQ(port.code, kJobFailed);
  EXPECT_EQ(Finding(port, "port")["verdict"], "failure");
  EXPECT_THAT(std::string(Finding(port, "port")["remedy"]), HasSubstr("ss -ltnp"));

  CertificateRequest request{.role = "client", .id = "client-0", .valid_days = 10};
  const int64_t past_ms = SystemClock().NowMs() - 20 * kMsPerDay;
  fleet_.InstallCertificate("client-0",
                            IssueCertificate(fleet_.Authority(), request, past_ms).value());
  const Output expired = fleet_.Cli({"doctor", "--json"});
  EXPECT_EQ(expired.code, kJobFailed);
  EXPECT_EQ(Finding(expired, "certificate client-0")["verdict"], "failure");
  EXPECT_THAT(std::string(Finding(expired, "certificate client-0")["remedy"]),
              HasSubstr("--replace"));
  EXPECT_EQ(Fedwatt({"--tls-dir", fleet_.File("none"), "doctor"}).code, kJobFailed);
}

TEST_F(Cli, ARenewedCertificateKeepsTheIdentity) {
  ASSERT_TRUE(fleet_.StartCoordinator());
  const std::vector<std::string> issue = {"certs",        "issue", "--dir",
                                          fleet_.certs(), "--id",  "client-0"};
  EXPECT_EQ(fleet_.Cli(issue).code, kError) << "nothing is overwritten unasked";
  std::vector<std::string> renew = issue;
  renew.push_back("--replace");
  EXPECT_EQ(fleet_.Cli(renew).code, 0);
  fleet_.StartClient("client-0");
  EXPECT_TRUE(fleet_.WaitForClients(1));
}

TEST_F(Cli, InterruptedWatchLeavesTheJobAlone) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  Program run(fleet_.CliCommand({"run", fleet_.WriteJobFile({.goal = 1})}), fleet_.File("run.txt"));
  ASSERT_TRUE(fleet_.WaitForPhase("echo", "selecting"));
  ASSERT_TRUE(WaitUntil("the first line", [&] { return !run.Log().empty(); }));
  EXPECT_EQ(run.Stop(), 130) << run.Log();
  EXPECT_EQ(fleet_.Job("echo").state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(fleet_.Cli({"list", "--as", "client-0"}).code, kRefused);
}

}  // namespace
}  // namespace fedwatt::e2e
