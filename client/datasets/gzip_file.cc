#include "client/datasets/gzip_file.h"

#include <zlib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr size_t kMaxRead = 1 << 30;  // gzread takes an unsigned and gives an int

}  // namespace

absl::StatusOr<std::unique_ptr<GzipFile>> GzipFile::Open(const std::string& path) {
  const std::string zipped = path + ".gz";
  const std::string found = FileExists(path) ? path : zipped;
  if (!FileExists(found)) {
    return absl::NotFoundError(absl::StrCat("neither ", path, " nor ", zipped, " exists"));
  }
  auto file = std::unique_ptr<GzipFile>(new GzipFile(found));
  file->plain_ = std::fopen(found.c_str(), "rb");
  if (file->plain_ == nullptr) {
    return absl::PermissionDeniedError(absl::StrCat("cannot open ", found, " for reading"));
  }
  if (std::getc(file->plain_) != 0x1f || std::getc(file->plain_) != 0x8b) {
    std::rewind(file->plain_);
    return file;
  }
  std::fclose(std::exchange(file->plain_, nullptr));
  file->zipped_ = gzopen(found.c_str(), "rb");
  if (file->zipped_ == nullptr) {
    return absl::PermissionDeniedError(absl::StrCat("cannot open ", found, " for reading"));
  }
  gzbuffer(static_cast<gzFile>(file->zipped_), 1 << 17);
  return file;
}

GzipFile::~GzipFile() {
  if (plain_ != nullptr) std::fclose(plain_);
  if (zipped_ != nullptr) gzclose(static_cast<gzFile>(zipped_));
}

absl::Status GzipFile::EndsEarly(uint64_t missing, const std::string& why) const {
  return absl::DataLossError(absl::StrCat(path_, ": ends ", missing, " bytes too early", why));
}

absl::Status GzipFile::ReadExactly(std::span<uint8_t> out) {
  if (plain_ != nullptr) {
    const size_t got = std::fread(out.data(), 1, out.size(), plain_);
    return got == out.size() ? absl::OkStatus() : EndsEarly(out.size() - got, "");
  }
  while (!out.empty()) {
    const auto want = static_cast<unsigned>(std::min(out.size(), kMaxRead));
    const int got = gzread(static_cast<gzFile>(zipped_), out.data(), want);
    if (got <= 0) {
      int code = 0;
      const char* text = gzerror(static_cast<gzFile>(zipped_), &code);
      return EndsEarly(out.size(), code != 0 ? absl::StrCat(" (", text, ")") : "");
    }
    out = out.subspan(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> GzipFile::ReadSome(std::span<uint8_t> out) {
  if (plain_ != nullptr) {
    const size_t got = std::fread(out.data(), 1, out.size(), plain_);
    if (got == 0 && std::ferror(plain_) != 0) {
      return absl::DataLossError(absl::StrCat(path_, ": cannot be read"));
    }
    return got;
  }
  const auto want = static_cast<unsigned>(std::min<size_t>(out.size(), kMaxRead));
  const int got = gzread(static_cast<gzFile>(zipped_), out.data(), want);
  int code = Z_OK;
  const char* const text = gzerror(static_cast<gzFile>(zipped_), &code);
  if (got < 0 || code != Z_OK) return absl::DataLossError(absl::StrCat(path_, ": ", text));
  return static_cast<size_t>(got);
}

absl::Status GzipFile::Skip(uint64_t bytes) {
  if (plain_ != nullptr) {
    if (fseeko(plain_, static_cast<off_t>(bytes), SEEK_CUR) == 0) return absl::OkStatus();
    return EndsEarly(bytes, " (it cannot be skipped)");
  }
  std::vector<uint8_t> sink(static_cast<size_t>(std::min<uint64_t>(bytes, 1 << 16)));
  while (bytes > 0) {
    const size_t part = static_cast<size_t>(std::min<uint64_t>(bytes, sink.size()));
    FW_RETURN_IF_ERROR(ReadExactly(std::span(sink).first(part)));
    bytes -= part;
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
