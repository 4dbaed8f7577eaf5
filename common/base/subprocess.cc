#include "common/base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/clock.h"
#include "common/base/cpu_time.h"
#include "common/base/errno_text.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX puts it in no header

namespace fedwatt {
namespace {

enum class Step : int { kParent, kLimits, kFiles, kDirectory, kExec };

const char* StepText(Step step) {
  switch (step) {
    case Step::kParent:
      return "tie the child to its parent of";
    case Step::kLimits:
      return "set the resource limits of";
    case Step::kFiles:
      return "hand descriptors to";
    case Step::kDirectory:
      return "enter the working directory of";
    case Step::kExec:
      return "run";
  }
  return "start";
}

struct Failure {
  int error_number;
  Step step;
};

// Everything the child needs, built before fork: after it only async-signal-safe calls are legal.
struct Launch {
  std::string program;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::string working_dir;
  std::vector<std::pair<int, int>> fds;  // {source, target}; sources above every target
  std::vector<std::pair<int, uint64_t>> limits;
  pid_t parent = 0;
  int failure_fd = -1;
};

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* const path = std::getenv("PATH");
  const std::vector<std::string> dirs =
      absl::StrSplit(path == nullptr ? "/usr/bin:/bin" : path, ':');
  for (const std::string& dir : dirs) {
    std::string candidate = absl::StrCat(dir.empty() ? std::string(".") : dir, "/", name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(absl::StrCat("program ", name, " is not in PATH"));
}

std::vector<std::string> BuildEnvironment(const SubprocessOptions& options) {
  std::vector<std::string> result = options.env;
  if (options.clear_env) return result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    const std::string prefix = variable.substr(0, variable.find('=') + 1);
    const bool replaced =
        std::any_of(options.env.begin(), options.env.end(), [&prefix](const std::string& other) {
          return other.compare(0, prefix.size(), prefix) == 0;
        });
    if (!replaced) result.push_back(variable);
  }
  return result;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void FailInChild(int failure_fd, Step step) {
  const Failure failure{errno, step};
  const ssize_t written = write(failure_fd, &failure, sizeof(failure));
  static_cast<void>(written);
  _exit(127);
}

void SetLimitsInChild(const Launch& launch) {
  for (const auto& [resource, value] : launch.limits) {
    const rlimit limit{value, value};
    if (setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) {
      FailInChild(launch.failure_fd, Step::kLimits);
    }
  }
}

void MapFilesInChild(const Launch& launch) {
  // Libraries may hold descriptors without close-on-exec; a child that runs a stranger's model
  // must not inherit a socket.
  syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  for (const auto& [source, target] : launch.fds) {
    if (dup2(source, target) < 0) FailInChild(launch.failure_fd, Step::kFiles);
  }
}

[[noreturn]] void RunChild(const Launch& launch) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) FailInChild(launch.failure_fd, Step::kParent);
  if (getppid() != launch.parent) _exit(127);  // the parent died before prctl
  if (!launch.working_dir.empty() && chdir(launch.working_dir.c_str()) != 0) {
    FailInChild(launch.failure_fd, Step::kDirectory);
  }
  MapFilesInChild(launch);
  SetLimitsInChild(launch);
  execve(launch.program.c_str(), launch.argv.data(), launch.envp.data());
  FailInChild(launch.failure_fd, Step::kExec);
}

// Owns descriptors until the end of Spawn.
class FdBag {
 public:
  ~FdBag() {
    for (const int fd : fds_) close(fd);
  }
  int Add(int fd) {
    if (fd >= 0) fds_.push_back(fd);
    return fd;
  }

 private:
  std::vector<int> fds_;
};

absl::Status MoveSourcesUp(const SubprocessOptions& options, FdBag& bag, Launch& launch) {
  int highest = 2;
  for (const auto& [source, target] : options.fds) highest = std::max(highest, target);
  for (const auto& [source, target] : options.fds) {
    const int moved = bag.Add(fcntl(source, F_DUPFD_CLOEXEC, highest + 1));
    if (moved < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot hand over descriptor ", source, ": ", ErrnoText(errno)));
    }
    launch.fds.emplace_back(moved, target);
  }
  // The failure pipe must not be where a mapped descriptor goes.
  launch.failure_fd = bag.Add(fcntl(launch.failure_fd, F_DUPFD_CLOEXEC, highest + 1));
  if (launch.failure_fd < 0) return absl::InternalError(ErrnoText(errno));
  return absl::OkStatus();
}

void AddLimits(const SubprocessOptions& options, Launch& launch) {
  const std::pair<int, uint64_t> wanted[] = {{RLIMIT_DATA, options.max_data_bytes},
                                             {RLIMIT_AS, options.max_address_space_bytes},
                                             {RLIMIT_CPU, options.max_cpu_s}};
  for (const auto& limit : wanted) {
    if (limit.second > 0) launch.limits.push_back(limit);
  }
}

int OpenPidFd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0U)); }

}  // namespace

std::string ExitStatus::ToString() const {
  if (signal != 0) return absl::StrCat("signal ", signal, " (", strsignal(signal), ")");
  return absl::StrCat("exit code ", code);
}

absl::StatusOr<Subprocess> Subprocess::Spawn(const SubprocessOptions& options) {
  if (options.argv.empty()) return absl::InvalidArgumentError("no program to run: argv is empty");
  Launch launch;
  FW_ASSIGN_OR_RETURN(launch.program, FindProgram(options.argv.front()));
  launch.environment = BuildEnvironment(options);
  launch.argv = Pointers(options.argv);
  launch.envp = Pointers(launch.environment);
  launch.working_dir = options.working_dir;
  launch.parent = getpid();
  AddLimits(options, launch);

  FdBag read_bag;
  pid_t pid = -1;
  int failure_read = -1;
  {
    FdBag child_bag;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      return absl::ResourceExhaustedError(absl::StrCat("cannot create a pipe: ", ErrnoText(errno)));
    }
    failure_read = read_bag.Add(ends[0]);
    launch.failure_fd = child_bag.Add(ends[1]);
    FW_RETURN_IF_ERROR(MoveSourcesUp(options, child_bag, launch));
    pid = fork();
    if (pid == 0) RunChild(launch);
  }
  if (pid < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start ", launch.program, ": ", ErrnoText(errno)));
  }
  // The pipe closes when the program starts, or carries why it did not.
  Failure failure{};
  ssize_t got = 0;
  do {
    got = read(failure_read, &failure, sizeof(failure));
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof(failure))) {
    waitpid(pid, nullptr, 0);
    return FileError(failure.error_number, StepText(failure.step), launch.program);
  }
  Subprocess child(pid, OpenPidFd(pid));
  if (child.pidfd_ < 0) {
    return absl::UnimplementedError(absl::StrCat("cannot watch process ", pid, ": ",
                                                 ErrnoText(errno), "; Linux 5.3 is needed"));
  }
  return child;
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      exit_(std::exchange(other.exit_, std::nullopt)) {}

Subprocess& Subprocess::operator=(Subprocess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(exit_, other.exit_);
  return *this;
}

Subprocess::~Subprocess() {
  if (running()) KillAndReap();
  if (pidfd_ >= 0) close(pidfd_);
}

void Subprocess::KillAndReap() {
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

absl::StatusOr<ExitStatus> Subprocess::Wait(int64_t timeout_ms) {
  if (exit_.has_value()) return *exit_;
  if (pid_ <= 0) return absl::FailedPreconditionError("no child process was started");
  if (timeout_ms >= 0) {
    pollfd poll_fd{pidfd_, POLLIN, 0};
    const SystemClock clock;
    const int64_t deadline_us = clock.MonotonicUs() + timeout_ms * 1000;
    int ready = 0;
    do {
      const int64_t left_ms = std::max<int64_t>((deadline_us - clock.MonotonicUs()) / 1000, 0);
      ready = poll(&poll_fd, 1, static_cast<int>(std::min<int64_t>(left_ms, INT32_MAX)));
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
      return absl::DeadlineExceededError(
          absl::StrCat("process ", pid_, " still runs after ", timeout_ms, " ms"));
    }
  }
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) {
      return absl::InternalError(
          absl::StrCat("cannot wait for process ", pid_, ": ", ErrnoText(errno)));
    }
  }
  ExitStatus exit;
  if (WIFSIGNALED(status)) exit.signal = WTERMSIG(status);
  if (WIFEXITED(status)) exit.code = WEXITSTATUS(status);
  exit_ = exit;
  return exit;
}

absl::Status Subprocess::Kill(int signal_number) {
  if (!running()) return absl::OkStatus();
  if (kill(pid_, signal_number) == 0 || errno == ESRCH) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot send signal ", signal_number, " to process ",
                                          pid_, ": ", ErrnoText(errno)));
}

absl::Status Subprocess::LimitCpu(int64_t more_s) {
  if (!running()) return absl::OkStatus();
  const absl::StatusOr<int64_t> used_us = ProcessCpuTimeUs(pid_);
  if (absl::IsNotFound(used_us.status())) return absl::OkStatus();  // it has just ended
  if (!used_us.ok()) return used_us.status();
  rlimit limit{};
  if (prlimit(pid_, RLIMIT_CPU, nullptr, &limit) == 0) {
    const auto wanted = static_cast<rlim_t>(*used_us / 1'000'000 + 1 + more_s);
    limit.rlim_cur = std::min(limit.rlim_max, wanted);
    if (prlimit(pid_, RLIMIT_CPU, &limit, nullptr) == 0) return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("cannot limit the processor time of process ", pid_, ": ",
                                          std::strerror(errno)));
}

absl::StatusOr<ExitStatus> Subprocess::Terminate(int64_t grace_ms) {
  FW_RETURN_IF_ERROR(Kill(SIGTERM));
  absl::StatusOr<ExitStatus> exit = Wait(std::max<int64_t>(grace_ms, 0));
  if (exit.ok() || exit.status().code() != absl::StatusCode::kDeadlineExceeded) return exit;
  FW_RETURN_IF_ERROR(Kill(SIGKILL));
  return Wait(-1);
}

}  // namespace fedwatt
