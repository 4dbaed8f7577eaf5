// Blobs as files: DIR/ab/abcdef... named by their SHA-256, written in DIR/tmp and renamed.

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/blob_store.h"

namespace fedwatt {
namespace {

constexpr size_t kWritebackBytes = 1 << 20;

// What the writers that a store hands out share with it: they may outlive it.
struct Folder {
  std::string dir;
  std::string tmp;
  std::atomic<uint64_t> next_temporary{0};

  std::string BucketOf(const Digest& sha256) const {
    return absl::StrCat(dir, "/", DigestHex(sha256).substr(0, 2));
  }
  std::string PathOf(const Digest& sha256) const {
    return absl::StrCat(BucketOf(sha256), "/", DigestHex(sha256));
  }
};

bool HasSize(const std::string& path, uint64_t size) {
  const absl::StatusOr<uint64_t> found = FileSize(path);
  return found.ok() && *found == size;
}

class DirBlobWriter final : public BlobWriter {
 public:
  DirBlobWriter(std::shared_ptr<const Folder> folder, FileWriter file)
      : folder_(std::move(folder)), file_(std::move(file)) {}

  ~DirBlobWriter() override {
    if (!committed_) RemoveIfExists(file_.path()).IgnoreError();
  }

  absl::Status Append(std::span<const uint8_t> data) override {
    if (!failed_.ok()) return failed_;
    failed_ = file_.Append(data);
    if (!failed_.ok()) return failed_;
    // The disk works while this hashes.
    if (data.size() >= kWritebackBytes) file_.StartWriteback();
    hash_.Update(data);
    return failed_;
  }

  absl::StatusOr<BlobRef> Commit() override {
    // A piece is missing: what is there must never get the name of the whole.
    if (!failed_.ok()) return failed_;
    failed_ = absl::FailedPreconditionError(absl::StrCat(file_.path(), " is committed already"));
    return CommitAs({hash_.Finish(), file_.size()});
  }

  // For who knows the hash of what it appends.
  absl::Status AppendUnhashed(std::span<const uint8_t> data) { return file_.Append(data); }

  absl::StatusOr<BlobRef> CommitAs(const BlobRef& ref) {
    const std::string path = folder_->PathOf(ref.sha256);
    const std::string bucket = folder_->BucketOf(ref.sha256);
    if (HasSize(path, ref.size)) {
      // Another writer may have renamed it and not synced the folder yet.
      FW_RETURN_IF_ERROR(FsyncDir(bucket));
      return ref;
    }
    FW_RETURN_IF_ERROR(file_.Sync());
    FW_RETURN_IF_ERROR(file_.Close());
    if (!FileExists(bucket)) {
      FW_RETURN_IF_ERROR(EnsureDir(bucket));
      FW_RETURN_IF_ERROR(FsyncDir(folder_->dir));
    }
    FW_RETURN_IF_ERROR(RenameFile(file_.path(), path));
    committed_ = true;
    FW_RETURN_IF_ERROR(FsyncDir(bucket));
    return ref;
  }

 private:
  const std::shared_ptr<const Folder> folder_;
  FileWriter file_;
  Sha256 hash_;
  absl::Status failed_;
  bool committed_ = false;
};

class DirBlobStore final : public BlobStore {
 public:
  explicit DirBlobStore(std::shared_ptr<Folder> folder) : folder_(std::move(folder)) {}

  absl::StatusOr<std::unique_ptr<BlobWriter>> NewBlob() override { return NewWriter(); }

  absl::StatusOr<BlobRef> Put(std::span<const uint8_t> data) override {
    const BlobRef ref{Sha256Of(data), data.size()};
    if (HasSize(folder_->PathOf(ref.sha256), ref.size)) {
      FW_RETURN_IF_ERROR(FsyncDir(folder_->BucketOf(ref.sha256)));
      return ref;
    }
    FW_ASSIGN_OR_RETURN(const std::unique_ptr<DirBlobWriter> writer, NewWriter());
    FW_RETURN_IF_ERROR(writer->AppendUnhashed(data));
    return writer->CommitAs(ref);
  }

  absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const Digest& sha256) override {
    FW_ASSIGN_OR_RETURN(MappedFile file, OpenFile(sha256));
    return std::make_shared<const MappedFile>(std::move(file));
  }

  absl::Status Verify(const Digest& sha256) override {
    FW_ASSIGN_OR_RETURN(const MappedFile file, OpenFile(sha256));
    const Digest found = Sha256Of(file.bytes());
    if (found == sha256) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(
        "the file ", folder_->PathOf(sha256), " (", file.bytes().size(), " bytes) has SHA-256 ",
        DigestHex(found), ", not the one of its name; restore it from a backup"));
  }

  absl::Status Remove(const Digest& sha256) override {
    return RemoveIfExists(folder_->PathOf(sha256));
  }

  absl::StatusOr<std::vector<Digest>> List() override {
    std::vector<Digest> digests;
    FW_ASSIGN_OR_RETURN(const std::vector<std::string> buckets, ListDir(folder_->dir));
    for (const std::string& bucket : buckets) {
      if (bucket.size() != 2) continue;
      FW_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          ListDir(absl::StrCat(folder_->dir, "/", bucket)));
      for (const std::string& name : names) {
        const absl::StatusOr<Digest> digest = ParseDigest(name);
        if (digest.ok()) digests.push_back(*digest);
      }
    }
    return digests;
  }

 private:
  absl::StatusOr<std::unique_ptr<DirBlobWriter>> NewWriter() {
    const std::string path = absl::StrCat(folder_->tmp, "/", folder_->next_temporary.fetch_add(1));
    FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
    return std::make_unique<DirBlobWriter>(folder_, std::move(file));
  }

  absl::StatusOr<MappedFile> OpenFile(const Digest& sha256) const {
    absl::StatusOr<MappedFile> file = MappedFile::Open(folder_->PathOf(sha256));
    if (file.ok() || !absl::IsNotFound(file.status())) return file;
    return absl::NotFoundError(absl::StrCat("no blob ", DigestHex(sha256), ": the file ",
                                            folder_->PathOf(sha256), " is missing"));
  }

  const std::shared_ptr<Folder> folder_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> OpenDirBlobStore(const std::string& dir) {
  auto folder = std::make_shared<Folder>();
  folder->dir = dir;
  folder->tmp = absl::StrCat(dir, "/tmp");
  FW_RETURN_IF_ERROR(EnsureDir(folder->tmp));
  // What a process that was killed had not finished.
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> stale, ListDir(folder->tmp));
  for (const std::string& name : stale) {
    FW_RETURN_IF_ERROR(RemoveIfExists(absl::StrCat(folder->tmp, "/", name)));
  }
  return std::unique_ptr<BlobStore>(std::make_unique<DirBlobStore>(std::move(folder)));
}

}  // namespace fedwatt
