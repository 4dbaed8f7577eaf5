#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Sequential reading of a file that may be gzip-compressed. Of one that is not, only what is read
// is fetched.
namespace fedwatt {

class GzipFile {
 public:
  // Opens `path`, or `path` + ".gz" when only that exists. NOT_FOUND names both.
  static absl::StatusOr<std::unique_ptr<GzipFile>> Open(const std::string& path);
  ~GzipFile();
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

  const std::string& path() const { return path_; }
  // Fills `out` whole; DATA_LOSS names the file when it is truncated or corrupt.
  absl::Status ReadExactly(std::span<uint8_t> out);
  absl::Status Skip(uint64_t bytes);
  // Fills `out` from its beginning; how much of it: 0 at the end of the file.
  absl::StatusOr<size_t> ReadSome(std::span<uint8_t> out);

 private:
  explicit GzipFile(std::string path) : path_(std::move(path)) {}
  absl::Status EndsEarly(uint64_t missing, const std::string& why) const;

  const std::string path_;
  std::FILE* plain_ = nullptr;  // where the file is not compressed
  void* zipped_ = nullptr;      // gzFile, else
};

}  // namespace fedwatt
