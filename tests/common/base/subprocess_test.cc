#include "common/base/subprocess.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kPatienceMs = 20'000;

// Runs `script` with its output in a file, and returns what it printed.
class SubprocessTest : public testing::Test {
 protected:
  SubprocessOptions Shell(const std::string& script) {
    SubprocessOptions options;
    options.argv = {"sh", "-c", script};
    return options;
  }

  std::string Output(SubprocessOptions options) {
    const std::string path = dir_.File("out");
    const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    options.fds.emplace_back(fd, 1);
    auto child = Subprocess::Spawn(options);
    close(fd);
    EXPECT_TRUE(child.ok()) << child.status();
    if (!child.ok()) return "";
    EXPECT_TRUE(child->Wait(kPatienceMs).ok());
    return *ReadFile(path, 100'000);
  }

  TempDir dir_;
};

TEST_F(SubprocessTest, ReportsTheExitCodeAgainAndAgain) {
  auto child = Subprocess::Spawn(Shell("exit 3"));
  ASSERT_TRUE(child.ok()) << child.status();
  for (int i = 0; i < 2; ++i) {
    const auto exit = child->Wait(kPatienceMs);
    ASSERT_TRUE(exit.ok()) << exit.status();
    EXPECT_EQ(exit->code, 3);
    EXPECT_FALSE(exit->ok());
    EXPECT_EQ(exit->ToString(), "exit code 3");
  }
  EXPECT_FALSE(child->running());
  EXPECT_TRUE(child->Kill(SIGTERM).ok());
}

TEST_F(SubprocessTest, AMissingProgramIsNamed) {
  const auto by_name = Subprocess::Spawn({.argv = {"no-such-program-here"}});
  EXPECT_EQ(by_name.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(by_name.status().message()), HasSubstr("no-such-program-here"));
  const auto by_path = Subprocess::Spawn({.argv = {"/no/such/program"}});
  EXPECT_EQ(by_path.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(by_path.status().message()), HasSubstr("cannot run /no/such/program"));
  EXPECT_EQ(Subprocess::Spawn({}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SubprocessTest, ABadWorkingDirectoryIsTold) {
  SubprocessOptions options = Shell("true");
  options.working_dir = dir_.File("absent");
  EXPECT_THAT(std::string(Subprocess::Spawn(options).status().message()),
              HasSubstr("working directory"));
}

TEST_F(SubprocessTest, RunsInItsWorkingDirectory) {
  SubprocessOptions options = Shell("pwd");
  options.working_dir = "/usr";
  EXPECT_EQ(Output(options), "/usr\n");
}

TEST_F(SubprocessTest, AddsToTheEnvironmentOrReplacesIt) {
  setenv("FEDWATT_TEST_A", "parent", 1);
  SubprocessOptions options = Shell("echo $FEDWATT_TEST_A $FEDWATT_TEST_B");
  options.env = {"FEDWATT_TEST_B=child"};
  EXPECT_EQ(Output(options), "parent child\n");
  options.env = {"FEDWATT_TEST_A=child"};
  EXPECT_EQ(Output(options), "child\n");
  options.env = {"FEDWATT_TEST_B=only"};
  options.clear_env = true;
  EXPECT_EQ(Output(options), "only\n");
  unsetenv("FEDWATT_TEST_A");
}

TEST_F(SubprocessTest, HandsOverTheNamedDescriptorsAndNoOthers) {
  const std::string path = dir_.File("in");
  ASSERT_TRUE(WriteFileAtomic(path, "secret\n").ok());
  const int leaked = open(path.c_str(), O_RDONLY);  // without close-on-exec, as libraries do
  ASSERT_GT(leaked, 2);
  SubprocessOptions options =
      Shell(absl::StrCat("cat <&9; cat <&", leaked == 9 ? 10 : leaked, " || echo closed"));
  options.fds = {{leaked, 9}};
  EXPECT_THAT(Output(options), testing::StartsWith("secret\nclosed"));
  close(leaked);
}

TEST_F(SubprocessTest, SwapsDescriptorsWithoutLosingOne) {
  ASSERT_TRUE(WriteFileAtomic(dir_.File("a"), "a\n").ok());
  ASSERT_TRUE(WriteFileAtomic(dir_.File("b"), "b\n").ok());
  const int a = open(dir_.File("a").c_str(), O_RDONLY | O_CLOEXEC);
  const int b = open(dir_.File("b").c_str(), O_RDONLY | O_CLOEXEC);
  SubprocessOptions options = Shell(absl::StrCat("cat <&", a, "; cat <&", b));
  options.fds = {{a, b}, {b, a}};
  EXPECT_EQ(Output(options), "b\na\n");
  close(a);
  close(b);
}

TEST_F(SubprocessTest, AWaitThatIsTooShortSaysSo) {
  SubprocessOptions blocked = Shell("read x");
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  blocked.fds = {{ends[0], 0}};
  auto reader = Subprocess::Spawn(blocked);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader->Wait(1).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(reader->running());
  close(ends[1]);
  EXPECT_TRUE(reader->Wait(kPatienceMs).ok());
  close(ends[0]);
}

TEST_F(SubprocessTest, TerminateIsPoliteFirst) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  SubprocessOptions options = Shell("trap 'exit 7' TERM; echo ready; while :; do read x; done");
  options.fds = {{ends[1], 1}};
  auto child = Subprocess::Spawn(options);
  ASSERT_TRUE(child.ok());
  char byte = 0;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);  // the trap is set
  const auto exit = child->Terminate(kPatienceMs);
  ASSERT_TRUE(exit.ok());
  EXPECT_EQ(exit->code, 7);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(SubprocessTest, TerminateKillsAChildThatDoesNotListen) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  SubprocessOptions options = Shell("trap '' TERM; echo ready; while :; do :; done");
  options.fds = {{ends[1], 1}};
  auto child = Subprocess::Spawn(options);
  ASSERT_TRUE(child.ok());
  char byte = 0;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);
  const auto exit = child->Terminate(10);
  ASSERT_TRUE(exit.ok());
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_THAT(exit->ToString(), HasSubstr("signal 9"));
  close(ends[0]);
  close(ends[1]);
}

TEST_F(SubprocessTest, LimitsMemoryAndProcessorTime) {
  SubprocessOptions options = Shell("ulimit -d; ulimit -v; ulimit -t");
  options.max_data_bytes = uint64_t{64} << 20;
  options.max_address_space_bytes = uint64_t{4} << 30;
  options.max_cpu_s = 5;
  EXPECT_EQ(Output(options), "65536\n4194304\n5\n");
}

TEST_F(SubprocessTest, DestructionLeavesNoProcessBehind) {
  pid_t pid = 0;
  {
    auto child = Subprocess::Spawn(Shell("while :; do :; done"));
    ASSERT_TRUE(child.ok());
    pid = child->pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_NE(kill(pid, 0), 0);
}

TEST_F(SubprocessTest, TheChildDiesWithTheThreadThatSpawnedIt) {
  absl::StatusOr<Subprocess> child = absl::UnknownError("not spawned");
  std::thread parent([&] { child = Subprocess::Spawn(Shell("while :; do :; done")); });
  parent.join();
  ASSERT_TRUE(child.ok());
  const auto exit = child->Wait(kPatienceMs);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->signal, SIGKILL);
}

}  // namespace
}  // namespace fedwatt
