#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace fedwatt {

// Small text files below a root, as Linux shows its sensors. Paths are relative: "sys/class/hwmon".
// Errors are those of common/base/file.h and name the whole path. A value; any thread.
class SysfsTree {
 public:
  using ReadFileFn = std::function<absl::StatusOr<std::string>(const std::string& path)>;

  // `read_file` replaces the reading of files (not of folders); null: the file system.
  explicit SysfsTree(std::string root, ReadFileFn read_file = nullptr);

  std::string Absolute(const std::string& path) const;
  bool Exists(const std::string& path) const;

  // Names in a folder, sorted.
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) const;

  // Without white space at the ends.
  absl::StatusOr<std::string> Text(const std::string& path) const;

  // DATA_LOSS if the file holds anything but one decimal integer.
  absl::StatusOr<int64_t> Integer(const std::string& path) const;

  // DATA_LOSS also for a negative one.
  absl::StatusOr<int64_t> Count(const std::string& path) const;

 private:
  std::string root_;  // ends with a slash
  ReadFileFn read_file_;
};

}  // namespace fedwatt
