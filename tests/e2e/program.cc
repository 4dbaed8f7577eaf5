#include "tests/e2e/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"

namespace fedwatt::e2e {
namespace {

constexpr uint64_t kMaxOutputBytes = uint64_t{64} << 20;

int OpenForAppend(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  EXPECT_GE(fd, 0) << path;
  return fd;
}

Subprocess Spawn(SubprocessOptions options, int in, int out, int err) {
  options.fds = {{in, 0}, {out, 1}, {err, 2}};
  absl::StatusOr<Subprocess> child = Subprocess::Spawn(options);
  EXPECT_TRUE(child.ok()) << child.status();
  return child.ok() ? *std::move(child) : Subprocess();
}

}  // namespace

std::string BinDir() {
  const char* bin = std::getenv("FEDWATT_BIN_DIR");
  return bin == nullptr ? "build/release/bin" : bin;
}

nlohmann::json Output::Json() const {
  return nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
}

std::vector<nlohmann::json> Output::JsonLines() const {
  std::vector<nlohmann::json> lines;
  std::istringstream text(out);
  for (std::string line; std::getline(text, line);) {
    lines.push_back(nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false));
  }
  return lines;
}

std::string Output::ToString() const {
  return absl::StrCat("exit code ", code, ", signal ", signal, "\n--- standard output\n", out,
                      "--- standard error\n", err);
}

Output RunToEnd(const RunOptions& options, const std::string& scratch) {
  const std::string out_path = scratch + "/stdout";
  const std::string err_path = scratch + "/stderr";
  EXPECT_TRUE(RemoveIfExists(out_path).ok() && RemoveIfExists(err_path).ok());
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = OpenForAppend(out_path);
  const int err = OpenForAppend(err_path);
  Subprocess child = Spawn({.argv = options.argv, .env = options.env}, in, out, err);
  for (const int fd : {in, out, err}) close(fd);
  Output output;
  const absl::StatusOr<ExitStatus> exit = child.Wait(options.timeout_ms);
  if (exit.ok()) {
    output.code = exit->signal == 0 ? exit->code : -1;
    output.signal = exit->signal;
  } else {
    ADD_FAILURE() << options.argv[0] << ": " << exit.status();
    child.Terminate(0).IgnoreError();
  }
  output.out = ReadFile(out_path, kMaxOutputBytes).value_or("");
  output.err = ReadFile(err_path, kMaxOutputBytes).value_or("");
  return output;
}

Program::Program(const std::vector<std::string>& argv, std::string log,
                 const std::vector<std::string>& env)
    : log_(std::move(log)) {
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = OpenForAppend(log_);
  process_ = Spawn({.argv = argv, .env = env}, in, out, out);
  close(in);
  close(out);
}

bool Program::running() { return process_.running() && !process_.Wait(0).ok(); }

std::string Program::Log() const { return ReadFile(log_, kMaxOutputBytes).value_or(""); }

void Program::Kill() {
  if (!process_.running()) return;
  EXPECT_TRUE(process_.Kill(SIGKILL).ok());
  EXPECT_TRUE(process_.Wait(10'000).ok());
}

void Program::Freeze() { EXPECT_TRUE(process_.Kill(SIGSTOP).ok()); }

void Program::Thaw() { EXPECT_TRUE(process_.Kill(SIGCONT).ok()); }

int Program::Stop(int64_t grace_ms) {
  EXPECT_TRUE(process_.Kill(SIGTERM).ok());
  return WaitForExit(grace_ms);
}

int Program::WaitForExit(int64_t timeout_ms) {
  const absl::StatusOr<ExitStatus> exit = process_.Wait(timeout_ms);
  return exit.ok() && exit->signal == 0 ? exit->code : -1;
}

}  // namespace fedwatt::e2e
