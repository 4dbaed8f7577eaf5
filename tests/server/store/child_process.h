#pragma once

// A child of this program that a test kills in the middle of its work.

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <functional>

namespace fedwatt {

// Forks; the child runs `work(fd)`, acknowledges by writing to fd, and never returns. Fork before
// this process starts threads.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<void(int fd)>& work) {
    int ends[2];
    if (pipe(ends) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      work(ends[1]);
      _exit(0);
    }
    close(ends[1]);
    fd_ = ends[0];
  }
  ~ChildProcess() {
    Kill();
    if (fd_ >= 0) close(fd_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The next acknowledgement; false when the child has ended.
  bool Next(uint32_t* ack) { return read(fd_, ack, sizeof *ack) == sizeof *ack; }

  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int fd_ = -1;
};

// For the child's side.
inline void Acknowledge(int fd, uint32_t ack) {
  if (write(fd, &ack, sizeof ack) != sizeof ack) _exit(1);
}

}  // namespace fedwatt
