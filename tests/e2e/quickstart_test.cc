// The first thing that a new user runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "absl/strings/numbers.h"
#include "common/base/file.h"
#include "tests/e2e/quickstart.h"
#include "tests/e2e/wait_until.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const std::vector<std::string> kSmall = {"--rounds", "2", "--clients", "3", "--examples", "100"};

// The command lines that hold `word`, by process: a run's folder is in those of all its programs.
std::map<pid_t, std::string> ProcessesWith(const std::string& word) {
  std::map<pid_t, std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    std::ifstream file(entry.path() / "cmdline");
    std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (line.find(word) != std::string::npos) found[pid] = line;
  }
  return found;
}

void ExpectNothingLeft(const Quickstart& quickstart) {
  const auto left = ProcessesWith(quickstart.dir());
  EXPECT_THAT(left, IsEmpty());
  for (const auto& [pid, line] : left) kill(pid, SIGKILL);
}

TEST(Quickstart, TrainsAModelThatPythonOpensAndASecondRunRepeats) {
  const Quickstart quickstart;
  const Output run = quickstart.Run(kSmall);
  ASSERT_EQ(run.code, 0) << run.ToString();
  EXPECT_THAT(run.out, AllOf(HasSubstr("round 1/2  committed  3/3 reports"), HasSubstr("accuracy"),
                             HasSubstr("model hash"), HasSubstr(quickstart.File("model.pt")),
                             HasSubstr(quickstart.File("report.json"))));
  ExpectNothingLeft(quickstart);

  constexpr uint64_t kMaxPageBytes = 2'000'000;
  const auto page = ReadFile(quickstart.File("report.html"), kMaxPageBytes);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(*page, HasSubstr("Job quickstart-1"));
  EXPECT_THAT(run.out, HasSubstr(quickstart.File("report.html")));
  const nlohmann::json report = quickstart.Report();
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["state"], "completed");
  ASSERT_THAT(report["rounds"], SizeIs(2));
  for (const auto& round : report["rounds"]) {
    EXPECT_EQ(round["reported"], 3);
    EXPECT_EQ(round["evaluation"]["examples"], 2000);
    EXPECT_GT(round["evaluation"]["accuracy"], 0.0);
    EXPECT_FALSE(round["energy"].empty());
  }

  const Output python =
      RunToEnd({.argv = {"/usr/bin/python3", "-W", "ignore", "-c",
                         "import sys, torch\n"
                         "torch.manual_seed(0)\n"
                         "model = torch.jit.load(sys.argv[1])\n"
                         "out = model(torch.rand(4, 1, 28, 28))\n"
                         "assert torch.isfinite(out).all()\n"
                         "print(list(out.shape), sum(p.numel() for p in model.parameters()))\n",
                         quickstart.File("model.pt")}},
               quickstart.scratch());
  EXPECT_EQ(python.code, 0) << python.ToString();
  EXPECT_EQ(python.out, "[4, 10] 1663370\n");

  std::vector<std::string> flags = kSmall;
  flags.push_back("--json");
  const Output again = quickstart.Run(flags);
  ASSERT_EQ(again.code, 0) << again.ToString();
  ASSERT_TRUE(again.Json().is_object()) << again.ToString();
  EXPECT_EQ(again.Json()["last"]["sha256"], report["last"]["sha256"]);
}

TEST(Quickstart, LeavesNothingBehindWhenInterrupted) {
  for (const int signal_number : {SIGINT, SIGTERM}) {
    const Quickstart quickstart;
    Program script(quickstart.Command({"--rounds", "50", "--clients", "3", "--examples", "100"}),
                   quickstart.scratch() + "/log", quickstart.Environment());
    ASSERT_TRUE(WaitUntil(
        "the first round",
        [&] {
          return script.Log().find("round  1/50  committed") != std::string::npos ||
                 !script.running();
        },
        Quickstart::kLimitMs));
    ASSERT_TRUE(script.running()) << script.Log();
    ASSERT_EQ(kill(script.pid(), signal_number), 0);
    // As from a terminal, Ctrl-C reaches the whole group; here the script alone is told.
    EXPECT_EQ(script.WaitForExit(30'000), 128 + signal_number) << script.Log();
    EXPECT_THAT(script.Log(), AllOf(HasSubstr("interrupted; everything it started is stopped"),
                                    Not(HasSubstr("the job goes on"))));
    ExpectNothingLeft(quickstart);
  }
}

// Without its evaluator the job would wait for ever.
TEST(Quickstart, SaysWhichProgramDiedAndWhy) {
  const Quickstart quickstart;
  const std::string real = std::filesystem::absolute(BinDir()).string();
  const std::string bin = quickstart.scratch() + "/bin";
  ASSERT_TRUE(EnsureDir(bin).ok());
  for (const std::string name : {"fedwatt", "fedwatt-coordinator", "fedwatt-torch"}) {
    std::filesystem::create_symlink(real + "/" + name, bin + "/" + name);
  }
  const std::string client =
      "#!/bin/sh\n"
      "case \"$*\" in *evaluator*) echo 'error: the disk is gone'; exit 5 ;; esac\n"
      "exec " +
      real + "/fedwatt-client \"$@\"\n";
  ASSERT_TRUE(WriteFileAtomic(bin + "/fedwatt-client", client, 0755).ok());
  const Output run = RunToEnd({.argv = quickstart.Command(kSmall),
                               .env = {"FEDWATT_BIN=" + bin},
                               .timeout_ms = Quickstart::kLimitMs},
                              quickstart.scratch());
  EXPECT_EQ(run.code, 1) << run.ToString();
  EXPECT_THAT(run.err, AllOf(HasSubstr("error: the disk is gone"),
                             HasSubstr("evaluator ended with exit code 5 before the job did")));
  ExpectNothingLeft(quickstart);
}

TEST(Quickstart, WrongFlagsAreSaid) {
  const Quickstart quickstart;
  const Output unknown = quickstart.Run({"--round", "3"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("--round"));
  EXPECT_EQ(quickstart.Run({"--rounds", "0"}).code, 2);
  EXPECT_EQ(quickstart.Run({"--clients", "many"}).code, 2);
  EXPECT_EQ(quickstart.Run({"--port"}).code, 2);
  EXPECT_EQ(quickstart.Run({"--alpha", "0.0"}).code, 2);
  EXPECT_EQ(quickstart.Run({"--dir", ""}).code, 2);
  EXPECT_FALSE(FileExists(quickstart.dir())) << "nothing is started before all flags are right";
  const Output padded = quickstart.Run({"--clients", "08", "--check-flags"});
  EXPECT_EQ(padded.code, 0) << padded.ToString();
  const Output help = quickstart.Run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("Example"));
}

}  // namespace
}  // namespace fedwatt::e2e
