#pragma once

// One upload on disk, and what this process knows of it. Internal to server/store.
//
// A file is a header that says what it is for and how many bytes are there, then the bytes; a
// restart resumes at that number. Nothing is synced: after a power cut a file may lie, so bytes of
// an earlier process are hashed again before they are believed.
//
// Files are used again rather than removed and created, up to a bound: pages of the cache and
// blocks of the disk that are there already need not be found, and what lies behind the bytes so
// far means nothing. For hundreds of small updates a round, creating and removing would cost ten
// times what writing them does. A file in between has a blank header.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/crypto/sha256.h"
#include "server/store/spool.h"

namespace fedwatt {

// Reads at offsets; thread-safe. Movable.
class SpoolReader {
 public:
  static absl::StatusOr<SpoolReader> Open(const std::string& path);
  SpoolReader(SpoolReader&& other) noexcept;
  SpoolReader& operator=(SpoolReader&& other) noexcept;
  ~SpoolReader();

  // OUT_OF_RANGE if the file ends before.
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) const;

 private:
  SpoolReader(std::string path, int fd);
  std::string path_;
  int fd_ = -1;
};

struct SpoolFileId {
  std::string assignment_id;
  Digest sha256{};
  uint64_t size = 0;
};

// Larger files are removed.
inline constexpr uint64_t kMaxSpareFileBytes = 64 << 20;

// A file without a use.
struct SpareFile {
  std::string path;
  uint64_t bytes = 0;  // that it occupies
};

// Thread-safe.
class SpoolFile {
 public:
  // An upload of which nothing is there. Takes over the file `path` if it is there, or makes it;
  // not before the first byte.
  SpoolFile(std::string path, SpoolFileId id);

  // The file at `path` as an earlier process left it; nothing if it is not ours or not whole enough
  // to go on with.
  static std::unique_ptr<SpoolFile> Recover(const std::string& path);

  const SpoolFileId& id() const { return id_; }
  uint64_t held() const { return held_.load(std::memory_order_acquire); }  // bytes there

  // A stream takes over; the one before gets ABORTED from now on. Returns its number.
  uint64_t NewStream();
  absl::Status Append(uint64_t stream, uint64_t offset, std::span<const uint8_t> data);
  absl::Status Finish(uint64_t stream);
  // The stream has ended, finished or not.
  void EndStream(uint64_t stream);

  // NOT_FOUND unless complete and right. After DATA_LOSS the upload is void: Drop it.
  absl::StatusOr<std::unique_ptr<SpooledUpdate>> Read();

  // Every later call fails. The file is removed, unless it is fit for another upload: not too
  // large, and read by nobody.
  std::optional<SpareFile> Drop();
  bool is_void() const;  // dropped, or found wrong

 private:
  absl::Status CheckStream(uint64_t stream) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Write(std::span<const uint8_t> data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Begin(std::span<const uint8_t> data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status HashHeld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Verify() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const SpoolFileId id_;

  mutable Mutex mutex_;
  uint64_t stream_ ABSL_GUARDED_BY(mutex_) = 0;
  bool void_ ABSL_GUARDED_BY(mutex_) = false;
  bool complete_ ABSL_GUARDED_BY(mutex_) = false;  // finished, or all there after a restart
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;     // the header is there
  std::optional<FileWriter> writer_ ABSL_GUARDED_BY(mutex_);
  Sha256 hash_ ABSL_GUARDED_BY(mutex_);
  uint64_t hashed_ ABSL_GUARDED_BY(mutex_) = 0;                  // bytes that went into hash_
  bool verified_ ABSL_GUARDED_BY(mutex_) = false;                // the whole has the right hash
  std::shared_ptr<const bool> readers_ ABSL_GUARDED_BY(mutex_);  // each reader has a copy
  std::atomic<uint64_t> held_{0};                                // written under mutex_
};

}  // namespace fedwatt
