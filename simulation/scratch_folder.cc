#include "simulation/scratch_folder.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace fedwatt {

absl::StatusOr<std::string> MakeScratchFolder(const std::string& parent) {
  std::string folder = parent;
  if (folder.empty()) {
    const char* const temporary = std::getenv("TMPDIR");
    folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : temporary != nullptr ? temporary : "/tmp";
  }
  std::string pattern = absl::StrCat(folder, "/fedwatt-simulate-XXXXXX");
  if (mkdtemp(pattern.data()) != nullptr) return pattern;
  return absl::InvalidArgumentError(
      absl::StrCat("cannot make a folder in ", folder, "; give another with --scratch"));
}

}  // namespace fedwatt
