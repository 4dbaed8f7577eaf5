#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace fedwatt::bench {

// A new folder below `parent`, removed with everything in it on destruction. Movable.
class ScratchDir {
 public:
  static absl::StatusOr<ScratchDir> Create(const std::string& parent);

  ScratchDir(ScratchDir&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  ScratchDir& operator=(ScratchDir&&) = delete;
  ~ScratchDir();

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit ScratchDir(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace fedwatt::bench
