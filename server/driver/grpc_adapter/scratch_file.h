#pragma once

// Names for temporary files of the data folder. A restart empties the folder.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fedwatt {

// A name that no other call of this process gets, in `data_dir`/tmp, which is created.
absl::StatusOr<std::string> NewScratchPath(const std::string& data_dir, const std::string& what);

// Removes what an earlier process left. Call at start, before the first NewScratchPath.
absl::Status ClearScratch(const std::string& data_dir);

}  // namespace fedwatt
