#include "common/energy/perf_counter.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/base/errno_text.h"

namespace fedwatt {
namespace {

class SystemPerfCounter final : public PerfCounter {
 public:
  explicit SystemPerfCounter(int fd) : fd_(fd) {}
  ~SystemPerfCounter() override { close(fd_); }
  SystemPerfCounter(const SystemPerfCounter&) = delete;
  SystemPerfCounter& operator=(const SystemPerfCounter&) = delete;

  absl::StatusOr<uint64_t> Read() override {
    uint64_t value = 0;
    const ssize_t got = read(fd_, &value, sizeof(value));
    if (got == static_cast<ssize_t>(sizeof(value))) return value;
    return absl::UnavailableError(absl::StrCat(
        "reading a perf event: ", got < 0 ? ErrnoText(errno) : std::string("too few bytes")));
  }

 private:
  const int fd_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PerfCounter>> OpenPerfCounter(const PerfEvent& event) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = event.type;
  attributes.config = event.config;
  const int64_t fd = syscall(SYS_perf_event_open, &attributes, /*pid=*/-1, event.cpu,
                             /*group_fd=*/-1, PERF_FLAG_FD_CLOEXEC);
  if (fd >= 0) return std::make_unique<SystemPerfCounter>(static_cast<int>(fd));
  const int error_number = errno;
  const std::string text =
      absl::StrCat("perf_event_open on cpu ", event.cpu, ": ", ErrnoText(error_number));
  if (error_number == EACCES || error_number == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

}  // namespace fedwatt
