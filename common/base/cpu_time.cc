#include "common/base/cpu_time.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

absl::StatusOr<int64_t> ReadClockUs(clockid_t clock, const std::string& what) {
  timespec now{};
  if (clock_gettime(clock, &now) != 0) {
    return absl::NotFoundError(absl::StrCat("no processor time of ", what));
  }
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

int64_t SelfCpuTimeUs() {
  return ReadClockUs(CLOCK_PROCESS_CPUTIME_ID, "this process").value_or(0);
}

int64_t EndedChildrenCpuTimeUs() {
  rusage usage{};
  if (getrusage(RUSAGE_CHILDREN, &usage) != 0) return 0;
  return (int64_t{usage.ru_utime.tv_sec} + usage.ru_stime.tv_sec) * 1'000'000 +
         usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

absl::StatusOr<int64_t> ProcessCpuTimeUs(pid_t pid) {
  clockid_t clock{};
  if (clock_getcpuclockid(pid, &clock) != 0) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " has ended"));
  }
  return ReadClockUs(clock, absl::StrCat("process ", pid));
}

absl::StatusOr<int64_t> MachineCpuTimeUs(const std::string& root) {
  const std::string path = absl::StrCat(root, root.back() == '/' ? "" : "/", "proc/stat");
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1 << 20));
  std::istringstream line(text.substr(0, text.find('\n')));
  std::string name;
  int64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  line >> name >> user >> nice >> system >> idle;
  if (!line || name != "cpu") {
    return absl::DataLossError(absl::StrCat(path, ": does not start with a `cpu` line"));
  }
  line >> iowait >> irq >> softirq >> steal;
  const int64_t ticks_per_s = sysconf(_SC_CLK_TCK);
  return (user + nice + system + irq + softirq + steal) * (1'000'000 / ticks_per_s);
}

}  // namespace fedwatt
