#pragma once

// The programs of the build as processes: started with their output in files, killed at any
// instant, and gone when the test is over.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/subprocess.h"
#include "nlohmann/json.hpp"

namespace fedwatt::e2e {

// Where the programs are: FEDWATT_BIN_DIR, as the runner sets it.
std::string BinDir();

// What a program that ran to its end has left.
struct Output {
  int code = -1;  // -1: it did not end by itself
  int signal = 0;
  std::string out;
  std::string err;

  // `out` parsed; a discarded value (is_discarded()) if it is not one JSON text.
  nlohmann::json Json() const;
  // `out` with one JSON text on each line; a discarded value where a line is none.
  std::vector<nlohmann::json> JsonLines() const;
  // For a failure's message.
  std::string ToString() const;
};

struct RunOptions {
  std::vector<std::string> argv;  // the program's path first
  std::vector<std::string> env;   // NAME=value
  int64_t timeout_ms = 60'000;    // then it is killed
};

// Runs a program and waits for it. `scratch` is a folder for its output.
Output RunToEnd(const RunOptions& options, const std::string& scratch);

// A program that runs beside the test; standard output and error are appended to `log`.
class Program {
 public:
  Program() = default;
  Program(const std::vector<std::string>& argv, std::string log,
          const std::vector<std::string>& env = {});

  bool running();
  pid_t pid() const { return process_.pid(); }
  const std::string& log_path() const { return log_; }
  std::string Log() const;

  // kill -9, and gone when this returns.
  void Kill();
  // SIGSTOP and SIGCONT: a device that has frozen, and its return.
  void Freeze();
  void Thaw();
  // SIGTERM and the exit code; -1 if that took longer than `grace_ms`.
  int Stop(int64_t grace_ms = 10'000);
  // Its exit code; -1 if it has not ended by then, or was killed.
  int WaitForExit(int64_t timeout_ms);

 private:
  Subprocess process_;
  std::string log_;
};

}  // namespace fedwatt::e2e
