#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace fedwatt {

// What the system says of a file without reading it. A file whose stamp has not changed has not
// been written to nor replaced, as long as its inode is kept in use (open or mapped): the next file
// could get it otherwise. A write within one tick of the file system's clock (a few ms) after the
// last one does not show.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;  // also by a change of owner, mode, name or dates

  bool operator==(const FileStamp&) const = default;

  static absl::StatusOr<FileStamp> Of(const std::string& path);
};

}  // namespace fedwatt
