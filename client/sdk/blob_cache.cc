#include "client/sdk/blob_cache.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

struct CachedFile {
  int64_t used_ms = 0;
  std::string name;
  uint64_t bytes = 0;

  auto operator<=>(const CachedFile&) const = default;
};

absl::Status Scan(const std::string& dir, std::vector<CachedFile>* files) {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir));
  for (const std::string& name : names) {
    CachedFile file;
    file.name = absl::StrCat(dir, "/", name);
    const absl::StatusOr<FileInfo> info = InspectFile(file.name);
    if (!info.ok() || !info->is_file) continue;
    file.used_ms = info->modified_ns / 1'000'000;
    file.bytes = info->bytes;
    files->push_back(std::move(file));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BlobCache> BlobCache::Open(const std::string& dir, const std::string& part_dir,
                                          bool shared, uint64_t limit_bytes, const Clock* clock) {
  FW_RETURN_IF_ERROR(EnsureDir(dir, 0700));
  FW_RETURN_IF_ERROR(EnsureDir(part_dir, 0700));
  return BlobCache(dir, part_dir, shared, limit_bytes, clock);
}

std::string BlobCache::Path(const Digest& sha256) const {
  return absl::StrCat(dir_, "/", DigestHex(sha256));
}

std::string BlobCache::PartPath(const Digest& sha256) const {
  return absl::StrCat(part_dir_, "/", DigestHex(sha256), ".part");
}

bool BlobCache::Has(const Digest& sha256) const { return FileExists(Path(sha256)); }

absl::StatusOr<uint64_t> BlobCache::PartBytes(const Digest& sha256) const {
  const std::string path = PartPath(sha256);
  if (FileExists(path)) return FileSize(path);
  FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(path, 0600));
  FW_RETURN_IF_ERROR(writer.Close());
  return 0;
}

absl::Status BlobCache::PutPart(const Digest& sha256, const std::string& data) {
  Count(data.size());
  FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(PartPath(sha256), 0600));
  FW_RETURN_IF_ERROR(writer.Append(AsBytes(data)));
  return writer.Close();
}

absl::Status BlobCache::Put(const Digest& sha256, const std::string& data) {
  FW_RETURN_IF_ERROR(PutPart(sha256, data));
  return Complete(sha256);
}

absl::Status BlobCache::Adopt(const Digest& sha256, const std::string& path) {
  FW_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
  FW_RETURN_IF_ERROR(RenameFile(path, Path(sha256)));
  Count(bytes);
  Touch(sha256);
  return absl::OkStatus();
}

absl::Status BlobCache::Complete(const Digest& sha256) {
  FW_RETURN_IF_ERROR(RenameFile(PartPath(sha256), Path(sha256)));
  Touch(sha256);
  return absl::OkStatus();
}

void BlobCache::Touch(const Digest& sha256) const {
  // A use that cannot be dated only makes eviction less clever.
  SetModified(Path(sha256), clock_->NowMs() * 1'000'000).IgnoreError();
}

absl::Status BlobCache::Remove(const Digest& sha256) {
  FW_RETURN_IF_ERROR(RemoveIfExists(PartPath(sha256)));
  return RemoveIfExists(Path(sha256));
}

bool BlobCache::Fits(uint64_t incoming_bytes) const {
  return !shared_ && most_bytes_.has_value() && *most_bytes_ <= limit_bytes_ &&
         incoming_bytes <= limit_bytes_ - *most_bytes_;
}

void BlobCache::Count(uint64_t bytes) {
  if (!most_bytes_.has_value()) return;
  most_bytes_ = bytes > UINT64_MAX - *most_bytes_ ? UINT64_MAX : *most_bytes_ + bytes;
}

absl::Status BlobCache::MakeRoom(uint64_t incoming_bytes, const std::set<Digest>& pinned) {
  if (Fits(incoming_bytes)) {
    Count(incoming_bytes);
    return absl::OkStatus();
  }
  most_bytes_.reset();
  std::vector<CachedFile> files;
  FW_RETURN_IF_ERROR(Scan(dir_, &files));
  FW_RETURN_IF_ERROR(Scan(part_dir_, &files));
  std::sort(files.begin(), files.end());
  std::set<std::string> kept;
  for (const Digest& digest : pinned) kept.insert({Path(digest), PartPath(digest)});
  uint64_t total = 0;
  for (const CachedFile& file : files) total += file.bytes;
  for (const CachedFile& file : files) {
    if (total <= limit_bytes_ && incoming_bytes <= limit_bytes_ - total) break;
    if (kept.contains(file.name)) continue;
    FW_RETURN_IF_ERROR(RemoveIfExists(file.name));
    total -= file.bytes;
  }
  most_bytes_ = total;
  Count(incoming_bytes);
  return absl::OkStatus();
}

absl::Status BlobCache::Verify(const std::string& path, const Digest& sha256) {
  FW_ASSIGN_OR_RETURN(FileReader file, FileReader::Open(path));
  Sha256 hash;
  while (true) {
    FW_ASSIGN_OR_RETURN(const ByteSpan block, file.Next());
    if (block.empty()) break;
    hash.Update(block);
  }
  const Digest actual = hash.Finish();
  if (actual == sha256) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, " has SHA-256 ", DigestHex(actual), ", expected ",
                                          DigestHex(sha256), "; it was altered or damaged"));
}

}  // namespace fedwatt
