#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"

namespace fedwatt {

// One open counter of the kernel's perf events, on one processor.
class PerfCounter {
 public:
  virtual ~PerfCounter() = default;
  // Counts since it was opened.
  virtual absl::StatusOr<uint64_t> Read() = 0;
};

struct PerfEvent {
  uint32_t type = 0;    // of the event source, /sys/bus/event_source/devices/*/type
  uint64_t config = 0;  // of the event
  int cpu = 0;
};

using PerfCounterOpener =
    std::function<absl::StatusOr<std::unique_ptr<PerfCounter>>(const PerfEvent& event)>;

// perf_event_open(2), system-wide. PERMISSION_DENIED without CAP_PERFMON where
// kernel.perf_event_paranoid is above 0.
absl::StatusOr<std::unique_ptr<PerfCounter>> OpenPerfCounter(const PerfEvent& event);

}  // namespace fedwatt
