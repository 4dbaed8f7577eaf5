#include "common/base/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/errno_text.h"

namespace fedwatt {
namespace {

constexpr int kNone = -1;

// What a signal handler can reach.
std::atomic<int> installed_fd{kNone};
std::atomic<int> first_signal{0};
std::atomic<bool> shutdown_requested{false};

struct sigaction previous_int;
struct sigaction previous_term;
struct sigaction previous_pipe;

void Notify(int fd) {
  const uint64_t one = 1;
  const ssize_t written = write(fd, &one, sizeof(one));
  static_cast<void>(written);  // a full counter is as readable as a new one
}

void OnSignal(int number) {
  const int saved_errno = errno;
  int expected = 0;
  if (!first_signal.compare_exchange_strong(expected, number)) _exit(128 + number);
  shutdown_requested.store(true);
  if (const int fd = installed_fd.load(); fd != kNone) Notify(fd);
  errno = saved_errno;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShutdownSignal>> ShutdownSignal::Install() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0)
    return absl::InternalError(absl::StrCat("cannot create an eventfd: ", ErrnoText(errno)));
  int expected = kNone;
  if (!installed_fd.compare_exchange_strong(expected, fd)) {
    close(fd);
    return absl::FailedPreconditionError("a ShutdownSignal is already installed");
  }
  first_signal.store(0);
  shutdown_requested.store(false);
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &previous_int);
  sigaction(SIGTERM, &action, &previous_term);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, &previous_pipe);
  return absl::WrapUnique(new ShutdownSignal(fd));
}

ShutdownSignal::~ShutdownSignal() {
  sigaction(SIGINT, &previous_int, nullptr);
  sigaction(SIGTERM, &previous_term, nullptr);
  sigaction(SIGPIPE, &previous_pipe, nullptr);
  installed_fd.store(kNone);
  close(fd_);
}

bool ShutdownSignal::requested() const { return shutdown_requested.load(); }

int ShutdownSignal::signal_number() const { return first_signal.load(); }

void ShutdownSignal::Request() {
  shutdown_requested.store(true);
  Notify(fd_);
}

void ShutdownSignal::WaitForShutdown() const {
  while (!WaitFor(-1)) {
  }
}

bool ShutdownSignal::WaitFor(int64_t timeout_ms) const {
  if (requested()) return true;
  pollfd poll_fd{fd_, POLLIN, 0};
  const int timeout =
      timeout_ms < 0 ? -1 : static_cast<int>(timeout_ms > INT32_MAX ? INT32_MAX : timeout_ms);
  poll(&poll_fd, 1, timeout);
  return requested();
}

}  // namespace fedwatt
