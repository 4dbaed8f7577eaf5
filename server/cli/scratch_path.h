#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace fedwatt::cli {

// A path in the folder for temporary files that nobody else has, with `suffix`; the file is removed
// at the end. Movable.
class ScratchPath {
 public:
  static absl::StatusOr<ScratchPath> InTemp(const std::string& suffix);

  ScratchPath(ScratchPath&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  ScratchPath& operator=(ScratchPath&&) = delete;
  ~ScratchPath();

  const std::string& path() const { return path_; }

 private:
  explicit ScratchPath(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace fedwatt::cli
