#pragma once

// Files, with durability spelled out. Every error names the path and the system's reason, and the
// next step where there is one. A full disk is RESOURCE_EXHAUSTED, a missing file NOT_FOUND, a
// refused one PERMISSION_DENIED, an existing one ALREADY_EXISTS, everything else INTERNAL.
//
// Paths below a MemoryFolder (memory_folder.h) lie in this process's memory; others are the
// system's.
//
// Free functions are thread-safe; objects belong to one thread at a time.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/bytes.h"

namespace fedwatt {

class MemoryFile;

// The status for a failed system call on `path`: "cannot <verb> <path>: <errno text>".
absl::Status FileError(int error_number, const std::string& verb, const std::string& path);

bool FileExists(const std::string& path);

// RESOURCE_EXHAUSTED if the file holds more than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes);

// Replaces `path` so that a crash leaves the old content or the new, never a mixture: temporary
// file in the same folder (path.tmp.PID.N, which a crash may leave behind), fsync, rename, fsync of
// the folder.
absl::Status WriteFileAtomic(const std::string& path, std::string_view data, mode_t mode = 0644);

// Makes creations, renames and removals in `dir` durable.
absl::Status FsyncDir(const std::string& dir);

// OK if there is no such file.
absl::Status RemoveIfExists(const std::string& path);

// rename(2): replaces `to`. Durable only after FsyncDir on its folder.
absl::Status RenameFile(const std::string& from, const std::string& to);

// mkdir -p. The folders that it creates get `mode`.
absl::Status EnsureDir(const std::string& path, mode_t mode = 0755);

// The names in `dir`, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDir(const std::string& dir);

// What is known of a path without reading it.
struct FileInfo {
  bool is_dir = false;
  bool is_file = false;
  uint64_t bytes = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;
};
absl::StatusOr<FileInfo> InspectFile(const std::string& path);

absl::StatusOr<uint64_t> FileSize(const std::string& path);

// Dates the last change (and use) of the content.
absl::Status SetModified(const std::string& path, int64_t modified_ns);

// An empty folder.
absl::Status RemoveDir(const std::string& path);

// rm -rf, as far as it goes.
void RemoveTree(const std::string& path);

// Bytes that this user may still write to the file system of `path`.
absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path);

// The folder part: "a/b" gives "a", "b" gives ".", "/b" gives "/".
std::string DirName(const std::string& path);

// A read-only mapping of a whole file. The file must not shrink while it is mapped; what is written
// meanwhile may show or not. Movable.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Valid until destruction; moving keeps it valid.
  ByteSpan bytes() const { return {data_, size_}; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<const std::string> memory_;
};

// Reads a whole file once, front to back, through a buffer that stays in the cache: for large files
// this costs half of faulting in a mapping. Movable.
class FileReader {
 public:
  static constexpr size_t kBlockBytes = 256 * 1024;

  static absl::StatusOr<FileReader> Open(const std::string& path);

  FileReader(FileReader&& other) noexcept;
  FileReader& operator=(FileReader&& other) = delete;
  ~FileReader();

  uint64_t size() const { return size_; }

  // The next kBlockBytes, fewer at the end, then none. Valid until the next call.
  absl::StatusOr<ByteSpan> Next();

 private:
  FileReader(std::string path, int fd, uint64_t size);
  FileReader(std::string path, std::shared_ptr<const std::string> memory);

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;  // when it was opened
  uint64_t position_ = 0;
  std::vector<uint8_t> buffer_;
  std::shared_ptr<const std::string> memory_;
};

// A file being written. Create or Open, then Append and WriteAt in any order, Sync before anyone
// relies on the content, Close. Destruction closes without syncing. Movable.
class FileWriter {
 public:
  // A new empty file; an existing one is truncated.
  static absl::StatusOr<FileWriter> Create(const std::string& path, mode_t mode = 0644);

  // An existing file, to go on after its last byte.
  static absl::StatusOr<FileWriter> Open(const std::string& path);

  FileWriter() = default;
  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&& other) noexcept;
  ~FileWriter();

  // After the last byte. On an error the file may hold a part of `data` beyond size().
  absl::Status Append(ByteSpan data);

  // At `offset`; leaves a hole of zeros if that is beyond the end.
  absl::Status WriteAt(uint64_t offset, ByteSpan data);

  // Lets the disk begin with what was written so far, so that a later Sync waits for less. No
  // promise.
  void StartWriteback();

  // Cuts or extends to `size` bytes.
  absl::Status Truncate(uint64_t size);

  // fdatasync.
  absl::Status Sync();

  // Idempotent. Reports what close(2) reports.
  absl::Status Close();

  // One past the last byte written.
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  FileWriter(std::string path, int fd, uint64_t size);
  FileWriter(std::string path, std::shared_ptr<MemoryFile> memory, uint64_t size);

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::shared_ptr<MemoryFile> memory_;
};

// Exclusive ownership of a folder or resource, by a lock on a file that holds the owner's process
// id. The kernel frees it when the process ends, also by kill -9. Movable.
class FileLock {
 public:
  // FAILED_PRECONDITION naming the holder's pid if another process (or another FileLock of this
  // one) holds it. Creates the file if needed; it is left behind.
  static absl::StatusOr<FileLock> Acquire(const std::string& path);

  FileLock() = default;
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}

  int fd_ = -1;
};

// For tests: called before every write with the path and the number of bytes; a non-zero answer
// is the errno with which that write fails. An empty function ends it.
using WriteFault = std::function<int(const std::string& path, uint64_t bytes)>;
void SetWriteFaultForTest(WriteFault fault);

}  // namespace fedwatt
