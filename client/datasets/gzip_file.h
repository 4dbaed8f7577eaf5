#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Sequential reading of a file that may be gzip-compressed.
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

 private:
  GzipFile(std::string path, void* file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  void* file_;  // gzFile
};

}  // namespace fedwatt
