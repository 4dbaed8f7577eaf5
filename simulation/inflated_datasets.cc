#include "simulation/inflated_datasets.h"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/datasets/gzip_file.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr char kEnding[] = "-ubyte";
constexpr char kZippedEnding[] = "-ubyte.gz";
constexpr size_t kBlockBytes = 1 << 20;

absl::Status Inflate(const std::string& from, const std::string& to) {
  FW_ASSIGN_OR_RETURN(const auto in, GzipFile::Open(from));
  FW_ASSIGN_OR_RETURN(FileWriter out, FileWriter::Create(to, 0600));
  std::vector<uint8_t> block(kBlockBytes);
  while (true) {
    FW_ASSIGN_OR_RETURN(const size_t got, in->ReadSome(block));
    if (got == 0) return out.Close();
    FW_RETURN_IF_ERROR(out.Append(std::span(block).first(got)));
  }
}

// NOT_FOUND: nothing in there is compressed.
absl::Status InflateAll(const std::string& from, const std::string& to) {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(from));
  bool any = false;
  for (const std::string& name : names) {
    // A file that is there both ways is read as it is.
    if (absl::EndsWith(name, kEnding)) return absl::NotFoundError(name);
    any |= absl::EndsWith(name, kZippedEnding);
  }
  if (!any) return absl::NotFoundError(from);
  FW_RETURN_IF_ERROR(EnsureDir(to, 0700));
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, kZippedEnding)) continue;
    const std::string plain = name.substr(0, name.size() - 3);
    FW_RETURN_IF_ERROR(Inflate(absl::StrCat(from, "/", plain), absl::StrCat(to, "/", plain)));
  }
  return absl::OkStatus();
}

}  // namespace

std::string InflatedDatasets::FolderFor(const std::string& path) const {
  const std::string folder = absl::StrCat(dir_, "/", folders_.size());
  if (EnsureDir(dir_, 0700).ok() && InflateAll(path, folder).ok()) return folder;
  RemoveTree(folder);
  return path;
}

DatasetConfig InflatedDatasets::Of(DatasetConfig config) {
  if (config.format != "idx") return config;
  auto known = folders_.find(config.path);
  if (known == folders_.end()) {
    known = folders_.emplace(config.path, FolderFor(config.path)).first;
  }
  config.path = known->second;
  return config;
}

}  // namespace fedwatt
