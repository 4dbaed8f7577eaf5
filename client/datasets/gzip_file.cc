#include "client/datasets/gzip_file.h"

#include <zlib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"

namespace fedwatt {

absl::StatusOr<std::unique_ptr<GzipFile>> GzipFile::Open(const std::string& path) {
  const std::string zipped = path + ".gz";
  const std::string found = FileExists(path) ? path : zipped;
  if (!FileExists(found)) {
    return absl::NotFoundError(absl::StrCat("neither ", path, " nor ", zipped, " exists"));
  }
  gzFile file = gzopen(found.c_str(), "rb");
  if (file == nullptr) {
    return absl::PermissionDeniedError(absl::StrCat("cannot open ", found, " for reading"));
  }
  gzbuffer(file, 1 << 17);
  return std::unique_ptr<GzipFile>(new GzipFile(found, file));
}

GzipFile::~GzipFile() { gzclose(static_cast<gzFile>(file_)); }

absl::Status GzipFile::ReadExactly(std::span<uint8_t> out) {
  constexpr size_t kMaxRead = 1 << 30;  // gzread takes an unsigned and gives an int
  while (!out.empty()) {
    const auto want = static_cast<unsigned>(std::min(out.size(), kMaxRead));
    const int got = gzread(static_cast<gzFile>(file_), out.data(), want);
    if (got <= 0) {
      int code = 0;
      const char* text = gzerror(static_cast<gzFile>(file_), &code);
      return absl::DataLossError(absl::StrCat(path_, ": ends ", out.size(), " bytes too early",
                                              code != 0 ? absl::StrCat(" (", text, ")") : ""));
    }
    out = out.subspan(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

absl::Status GzipFile::Skip(uint64_t bytes) {
  std::vector<uint8_t> sink(static_cast<size_t>(std::min<uint64_t>(bytes, 1 << 16)));
  while (bytes > 0) {
    const size_t part = static_cast<size_t>(std::min<uint64_t>(bytes, sink.size()));
    absl::Status status = ReadExactly(std::span(sink).first(part));
    if (!status.ok()) return status;
    bytes -= part;
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
