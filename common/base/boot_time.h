#pragma once

#include <cstdint>

namespace fedwatt {

// Microseconds since the host's boot, with the time for which it was suspended: the same for all
// its processes, and nobody can set it. For deadlines, which a sleeping device does not stop; a
// Clock's monotonic side, which stands still meanwhile, is for watchdogs and durations of work.
// Thread-safe.
int64_t BootTimeUs();

}  // namespace fedwatt
