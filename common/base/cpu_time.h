#pragma once

// Processor time spent, in microseconds, for meters and accounts. Thread-safe.

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace fedwatt {

// User and system time of this process, all threads.
int64_t SelfCpuTimeUs();

// User and system time of the children of this process that have ended and were waited for, and of
// theirs.
int64_t EndedChildrenCpuTimeUs();

// Of another process. NOT_FOUND when it has ended.
absl::StatusOr<int64_t> ProcessCpuTimeUs(pid_t pid);

// Busy time of all processors together since boot, from /proc/stat below `root`: everything but
// idle and iowait. In clock ticks' resolution (10 ms).
absl::StatusOr<int64_t> MachineCpuTimeUs(const std::string& root = "/");

}  // namespace fedwatt
