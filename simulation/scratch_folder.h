#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace fedwatt {

// A new folder for a simulation's thousands of small files: in `parent`; where that is empty, in
// memory (/dev/shm) if there is such a place, else in TMPDIR. INVALID_ARGUMENT: none can be made.
absl::StatusOr<std::string> MakeScratchFolder(const std::string& parent);

}  // namespace fedwatt
