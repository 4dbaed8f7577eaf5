#include "client/sdk/file_stamp.h"

#include <sys/stat.h>

#include <cerrno>

#include "common/base/file.h"

namespace fedwatt {
namespace {

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + int64_t{time.tv_nsec};
}

}  // namespace

absl::StatusOr<FileStamp> FileStamp::Of(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return FileError(errno, "look at", path);
  return FileStamp{.device = info.st_dev,
                   .inode = info.st_ino,
                   .bytes = static_cast<uint64_t>(info.st_size),
                   .modified_ns = Nanoseconds(info.st_mtim),
                   .changed_ns = Nanoseconds(info.st_ctim)};
}

}  // namespace fedwatt
