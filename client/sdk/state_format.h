#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/sdk/assignment_store.h"

namespace fedwatt {

// The version of what lies in a state folder: in its file `format`, as a number. A version of the
// SDK that changes what an older one would misread raises it.
inline constexpr int kStateFormat = 1;

// OK for a folder of this version, or of the time before there was the file, which is then
// written by `store`'s rules.
// FAILED_PRECONDITION for one of a newer version: nothing in it was touched. A damaged file counts
// as one that is not there.
absl::Status CheckStateFormat(const std::string& state_dir, const AssignmentStore& store);

}  // namespace fedwatt
