#pragma once

// Orderly shutdown on Ctrl-C (SIGINT) and SIGTERM.

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace fedwatt {

// Install one at the start of main; there can be one at a time. The first signal makes `fd`
// readable and wakes the waiters; a second one ends the process at once with 128 + signal, for a
// user whose shutdown hangs. SIGPIPE is ignored from then on. Destruction restores the handlers.
class ShutdownSignal {
 public:
  // FAILED_PRECONDITION if one is installed already.
  static absl::StatusOr<std::unique_ptr<ShutdownSignal>> Install();

  ~ShutdownSignal();
  ShutdownSignal(const ShutdownSignal&) = delete;
  ShutdownSignal& operator=(const ShutdownSignal&) = delete;

  // Readable once shutdown was asked for, and stays so. Do not read from it.
  int fd() const { return fd_; }

  bool requested() const;

  // The signal that asked, 0 if none did (or Request() did).
  int signal_number() const;

  // Asks for shutdown from inside the program. Async-signal-safe.
  void Request();

  // Returns when shutdown was asked for.
  void WaitForShutdown() const;

  // True if it was asked for within `timeout_ms`.
  bool WaitFor(int64_t timeout_ms) const;

 private:
  explicit ShutdownSignal(int fd) : fd_(fd) {}

  const int fd_;
};

}  // namespace fedwatt
