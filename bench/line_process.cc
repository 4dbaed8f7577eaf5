#include "bench/line_process.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt::bench {
namespace {

constexpr int64_t kPollMs = 50;

}  // namespace

absl::StatusOr<LineProcess> LineProcess::Start(const std::vector<std::string>& argv) {
  int to_child[2];
  int from_child[2];
  if (pipe2(to_child, O_CLOEXEC) != 0) return FileError(errno, "open a pipe for", argv[0]);
  if (pipe2(from_child, O_CLOEXEC) != 0) {
    close(to_child[0]);
    close(to_child[1]);
    return FileError(errno, "open a pipe for", argv[0]);
  }
  SubprocessOptions options;
  options.argv = argv;
  options.fds = {{to_child[0], 0}, {from_child[1], 1}};
  absl::StatusOr<Subprocess> process = Subprocess::Spawn(options);
  close(to_child[0]);
  close(from_child[1]);
  if (!process.ok()) {
    close(to_child[1]);
    close(from_child[0]);
    return process.status();
  }
  return LineProcess(argv[0], to_child[1], from_child[0], *std::move(process));
}

LineProcess::LineProcess(LineProcess&& other) noexcept
    : name_(std::move(other.name_)),
      in_(std::exchange(other.in_, -1)),
      out_(std::exchange(other.out_, -1)),
      buffer_(std::move(other.buffer_)),
      process_(std::move(other.process_)) {}

LineProcess::~LineProcess() {
  if (in_ >= 0) close(in_);
  if (out_ >= 0) close(out_);
}

absl::Status LineProcess::WriteLine(const std::string& line) {
  const std::string text = line + "\n";
  if (write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return FileError(errno, "write to", name_);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> LineProcess::ReadLine(int64_t timeout_ms, const Interrupt& interrupt) {
  for (int64_t waited_ms = 0; waited_ms <= timeout_ms;) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    FW_RETURN_IF_ERROR(interrupt.Check());
    pollfd ready{out_, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(kPollMs)) <= 0) {
      waited_ms += kPollMs;
      continue;
    }
    char bytes[4096];
    const ssize_t got = read(out_, bytes, sizeof(bytes));
    if (got < 0) return FileError(errno, "read from", name_);
    if (got == 0) return absl::UnavailableError(absl::StrCat(name_, " ended early"));
    buffer_.append(bytes, static_cast<size_t>(got));
  }
  return absl::DeadlineExceededError(absl::StrCat(name_, " said nothing for ", timeout_ms, " ms"));
}

}  // namespace fedwatt::bench
