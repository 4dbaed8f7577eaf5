#include "server/cli/scratch_path.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"

namespace fedwatt::cli {

absl::StatusOr<ScratchPath> ScratchPath::InTemp(const std::string& suffix) {
  const char* dir = std::getenv("TMPDIR");
  std::string path = absl::StrCat(dir != nullptr ? dir : "/tmp", "/fedwatt-XXXXXX", suffix);
  const int fd = mkstemps(path.data(), static_cast<int>(suffix.size()));
  if (fd < 0) return FileError(errno, "create", path);
  close(fd);
  return ScratchPath(std::move(path));
}

ScratchPath::~ScratchPath() {
  if (!path_.empty()) (void)RemoveIfExists(path_);
}

}  // namespace fedwatt::cli
