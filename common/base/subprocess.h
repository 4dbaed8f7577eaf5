#pragma once

// A child process that never outlives its parent.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fedwatt {

struct SubprocessOptions {
  // Program and arguments. A program without a slash is looked up in PATH.
  std::vector<std::string> argv;

  // NAME=value. Added to this process's environment, replacing variables of the same name; or the
  // whole environment if `clear_env`.
  std::vector<std::string> env;
  bool clear_env = false;

  // Working directory; empty: ours.
  std::string working_dir;

  // Descriptors to hand over, as {ours, number in the child}. Standard input, output and error
  // (0, 1, 2) are inherited unless mapped here; every other descriptor is closed in the child.
  std::vector<std::pair<int, int>> fds;

  // Limits of the child; 0: none. Data bounds what it may allocate (RLIMIT_DATA), address space
  // also its mappings (RLIMIT_AS), CPU its processor seconds (RLIMIT_CPU: SIGKILL).
  uint64_t max_data_bytes = 0;
  uint64_t max_address_space_bytes = 0;
  uint64_t max_cpu_s = 0;
};

struct ExitStatus {
  int code = 0;    // exit code, valid if signal is 0
  int signal = 0;  // the signal that ended it, or 0

  bool ok() const { return code == 0 && signal == 0; }
  std::string ToString() const;  // "exit code 3", "signal 9 (Killed)"
};

// One thread at a time. Movable. Destruction kills the child (SIGKILL) and reaps it.
//
// The kernel kills the child (SIGKILL) when the thread that called Spawn ends, which includes the
// end of this process by any means: spawn from a thread that lives as long as the child should.
class Subprocess {
 public:
  // NOT_FOUND or PERMISSION_DENIED if the program cannot be run, naming it and the step that
  // failed; a child that starts and then fails is seen in Wait.
  static absl::StatusOr<Subprocess> Spawn(const SubprocessOptions& options);

  Subprocess() = default;
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&& other) noexcept;
  ~Subprocess();

  pid_t pid() const { return pid_; }

  // True until the child has been reaped by Wait or Terminate.
  bool running() const { return pid_ > 0 && !exit_.has_value(); }

  // DEADLINE_EXCEEDED if the child still runs after `timeout_ms` (negative: no limit). Once it
  // has ended, every call returns the same status.
  absl::StatusOr<ExitStatus> Wait(int64_t timeout_ms);

  // Sends a signal. OK if the child has already ended.
  absl::Status Kill(int signal_number);

  // From now on the child may use `more_s` seconds of processor time beyond what it has used, all
  // threads together; SIGXCPU ends it then (RLIMIT_CPU). May be called again. INTERNAL names the
  // system's reason.
  absl::Status LimitCpu(int64_t more_s);

  // SIGTERM, then after `grace_ms` SIGKILL, then reaps.
  absl::StatusOr<ExitStatus> Terminate(int64_t grace_ms);

 private:
  Subprocess(pid_t pid, int pidfd) : pid_(pid), pidfd_(pidfd) {}
  void KillAndReap();

  pid_t pid_ = -1;
  int pidfd_ = -1;
  std::optional<ExitStatus> exit_;
};

}  // namespace fedwatt
