#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "server/store/spool.h"
#include "server/store/spool_file.h"

namespace fedwatt {
namespace {

using SpoolFilePtr = std::shared_ptr<SpoolFile>;

constexpr char kEnding[] = ".upload";
constexpr uint64_t kMaxSpareBytes = 256 << 20;  // of all of them

// Which uploads there are, and the bytes that they reserve. Uploads may outlive the spool.
//
// Lock order: mutex_ before a file's own lock.
class Index {
 public:
  // `first_number`: greater than that of every file in `dir`.
  Index(std::string dir, uint64_t max_bytes, uint64_t first_number)
      : dir_(std::move(dir)), max_bytes_(max_bytes), next_number_(first_number) {}

  // Of two files of one assignment the first stays.
  void Add(const SpoolFilePtr& file) {
    MutexLock lock(&mutex_);
    const auto [it, added] = files_.try_emplace(file->id().assignment_id, file);
    if (added) {
      reserved_ += file->id().size;
    } else {
      file->Drop();
    }
  }

  absl::StatusOr<SpoolFilePtr> Open(const SpoolFileId& id) {
    MutexLock lock(&mutex_);
    if (const auto it = files_.find(id.assignment_id); it != files_.end()) {
      const SpoolFileId& known = it->second->id();
      if (known.sha256 == id.sha256 && known.size == id.size && !it->second->is_void()) {
        return it->second;
      }
      Erase(it);
    }
    if (id.size > max_bytes_ || reserved_ > max_bytes_ - id.size) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "no room in ", dir_, " for the ", id.size, " bytes of ", id.assignment_id, ": ",
          reserved_, " of ", max_bytes_, " are reserved by uploads; try again later"));
    }
    const SpoolFilePtr file = std::make_shared<SpoolFile>(NextPath(id.size), id);
    reserved_ += id.size;
    files_[id.assignment_id] = file;
    return file;
  }

  SpoolFilePtr Find(const std::string& assignment_id, const Digest& sha256) const {
    MutexLock lock(&mutex_);
    const auto it = files_.find(assignment_id);
    return it == files_.end() || it->second->id().sha256 != sha256 ? nullptr : it->second;
  }

  // `only`: unless another file has taken its place; nullptr: whatever is there.
  void Remove(const std::string& assignment_id, const SpoolFile* only) {
    MutexLock lock(&mutex_);
    const auto it = files_.find(assignment_id);
    if (it != files_.end() && (only == nullptr || it->second.get() == only)) Erase(it);
  }

  void Sweep(const std::function<bool(const std::string&)>& keep) {
    MutexLock lock(&mutex_);
    for (auto it = files_.begin(); it != files_.end();) {
      it = keep(it->first) ? std::next(it) : Erase(it);
    }
  }

  uint64_t reserved() const {
    MutexLock lock(&mutex_);
    return reserved_;
  }

 private:
  using Files = std::unordered_map<std::string, SpoolFilePtr>;

  Files::iterator Erase(Files::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::optional<SpareFile> spare = it->second->Drop();
    if (spare && spare_bytes_ + spare->bytes <= kMaxSpareBytes) {
      spare_bytes_ += spare->bytes;
      spares_.push_back(*std::move(spare));
    } else if (spare) {
      RemoveIfExists(spare->path).IgnoreError();
    }
    reserved_ -= it->second->id().size;
    return files_.erase(it);
  }

  std::string NextPath(uint64_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (size > kMaxSpareFileBytes || spares_.empty()) {
      return absl::StrCat(dir_, "/", next_number_++, kEnding);
    }
    std::string path = std::move(spares_.back().path);
    spare_bytes_ -= spares_.back().bytes;
    spares_.pop_back();
    return path;
  }

  const std::string dir_;
  const uint64_t max_bytes_;
  mutable Mutex mutex_;
  Files files_ ABSL_GUARDED_BY(mutex_);
  uint64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_);
  std::vector<SpareFile> spares_ ABSL_GUARDED_BY(mutex_);
  uint64_t spare_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

class Upload final : public SpoolUpload {
 public:
  Upload(std::shared_ptr<Index> index, SpoolFilePtr file)
      : index_(std::move(index)), file_(std::move(file)), stream_(file_->NewStream()) {}

  ~Upload() override { file_->EndStream(stream_); }

  uint64_t offset() const override { return file_->held(); }

  absl::Status Append(uint64_t offset, std::span<const uint8_t> data) override {
    return file_->Append(stream_, offset, data);
  }

  absl::Status Finish() override {
    absl::Status status = file_->Finish(stream_);
    if (absl::IsDataLoss(status)) index_->Remove(file_->id().assignment_id, file_.get());
    return status;
  }

 private:
  const std::shared_ptr<Index> index_;
  const SpoolFilePtr file_;
  const uint64_t stream_;
};

// Memory for updates that came whole.
class HeldBytes {
 public:
  explicit HeldBytes(uint64_t max) : max_(max) {}

  bool TryReserve(uint64_t bytes) {
    uint64_t now = held_.load();
    do {
      if (bytes > max_ || now > max_ - bytes) return false;
    } while (!held_.compare_exchange_weak(now, now + bytes));
    return true;
  }
  void Release(uint64_t bytes) { held_.fetch_sub(bytes); }
  uint64_t held() const { return held_.load(); }

 private:
  const uint64_t max_;
  std::atomic<uint64_t> held_{0};
};

class HeldUpdate final : public SpooledUpdate {
 public:
  // `memory` has the size of `data` reserved.
  HeldUpdate(std::shared_ptr<HeldBytes> memory, std::string data)
      : memory_(std::move(memory)), data_(std::move(data)) {}
  ~HeldUpdate() override { memory_->Release(data_.size()); }

  uint64_t size() const override { return data_.size(); }
  std::span<const uint8_t> bytes() const override { return AsBytes(data_); }

  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) const override {
    if (offset > data_.size() || out.size() > data_.size() - offset) {
      return absl::OutOfRangeError(absl::StrCat("cannot read ", out.size(), " bytes at ", offset,
                                                " of an update of ", data_.size()));
    }
    std::copy_n(data_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<HeldBytes> memory_;
  const std::string data_;
};

class DirSpool final : public Spool {
 public:
  DirSpool(std::shared_ptr<Index> index, uint64_t max_memory_bytes)
      : index_(std::move(index)), memory_(std::make_shared<HeldBytes>(max_memory_bytes)) {}

  absl::StatusOr<std::unique_ptr<SpoolUpload>> Open(const std::string& assignment_id,
                                                    const Digest& sha256, uint64_t size) override {
    if (assignment_id.empty() || assignment_id.size() > bounds::kMaxIdLength) {
      return absl::InvalidArgumentError(absl::StrCat("an assignment id of ", assignment_id.size(),
                                                     " bytes; the limit is 1 to ",
                                                     bounds::kMaxIdLength));
    }
    if (size > bounds::kMaxBlobBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("an upload of ", size, " bytes; the limit is ", bounds::kMaxBlobBytes));
    }
    FW_ASSIGN_OR_RETURN(SpoolFilePtr file, index_->Open({assignment_id, sha256, size}));
    return std::unique_ptr<SpoolUpload>(std::make_unique<Upload>(index_, std::move(file)));
  }

  std::unique_ptr<SpooledUpdate> Hold(std::string* bytes) override {
    if (!memory_->TryReserve(bytes->size())) return nullptr;
    return std::make_unique<HeldUpdate>(memory_, std::move(*bytes));
  }

  uint64_t Offset(const std::string& assignment_id, const Digest& sha256) const override {
    const SpoolFilePtr file = index_->Find(assignment_id, sha256);
    return file == nullptr ? 0 : file->held();
  }

  absl::StatusOr<std::unique_ptr<SpooledUpdate>> Read(const std::string& assignment_id,
                                                      const Digest& sha256) override {
    const SpoolFilePtr file = index_->Find(assignment_id, sha256);
    if (file == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("no upload of ", assignment_id, " with SHA-256 ", DigestHex(sha256)));
    }
    auto update = file->Read();
    if (!absl::IsDataLoss(update.status())) return update;
    index_->Remove(assignment_id, file.get());
    return absl::NotFoundError(std::string(update.status().message()));
  }

  void Remove(const std::string& assignment_id) override { index_->Remove(assignment_id, nullptr); }

  void Sweep(const std::function<bool(const std::string&)>& keep) override { index_->Sweep(keep); }

  uint64_t bytes_reserved() const override { return index_->reserved(); }
  uint64_t bytes_in_memory() const override { return memory_->held(); }

 private:
  const std::shared_ptr<Index> index_;
  const std::shared_ptr<HeldBytes> memory_;
};

// What earlier processes left. `next_number` becomes greater than the number of every file.
absl::Status RecoverFiles(const std::string& dir, std::vector<SpoolFilePtr>* found,
                          uint64_t* next_number) {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir));
  for (const std::string& name : names) {
    absl::string_view stem = name;
    uint64_t number = 0;
    if (!absl::ConsumeSuffix(&stem, kEnding) || !absl::SimpleAtoi(stem, &number)) continue;
    *next_number = std::max(*next_number, number + 1);
    const std::string path = absl::StrCat(dir, "/", name);
    if (SpoolFilePtr file = SpoolFile::Recover(path)) {
      found->push_back(std::move(file));
    } else {
      FW_RETURN_IF_ERROR(RemoveIfExists(path));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Spool>> OpenSpool(const SpoolOptions& options) {
  FW_RETURN_IF_ERROR(EnsureDir(options.dir));
  std::vector<SpoolFilePtr> found;
  uint64_t next_number = 1;
  FW_RETURN_IF_ERROR(RecoverFiles(options.dir, &found, &next_number));
  uint64_t max_bytes = options.max_bytes;
  if (max_bytes == 0) {
    FW_ASSIGN_OR_RETURN(max_bytes, FreeDiskBytes(options.dir));
    for (const SpoolFilePtr& file : found) max_bytes += file->held();
    max_bytes = max_bytes / 10 * 9;
  }
  auto index = std::make_shared<Index>(options.dir, max_bytes, next_number);
  for (const SpoolFilePtr& file : found) index->Add(file);
  return std::unique_ptr<Spool>(
      std::make_unique<DirSpool>(std::move(index), options.max_memory_bytes));
}

}  // namespace fedwatt
