#include "bench/scratch_dir.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"

namespace fedwatt::bench {

absl::StatusOr<ScratchDir> ScratchDir::Create(const std::string& parent) {
  std::string pattern = absl::StrCat(parent, "/fedwatt-bench-XXXXXX");
  if (mkdtemp(pattern.data()) == nullptr) return FileError(errno, "create a folder in", parent);
  return ScratchDir(pattern);
}

ScratchDir::~ScratchDir() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace fedwatt::bench
