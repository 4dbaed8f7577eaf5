#pragma once

// Folders in the memory of this process, behind the functions and classes of file.h: for a program
// that has thousands of state folders and no use for them after its end (the simulator).
//
//   MemoryFolder folder;
//   WriteFileAtomic(folder.path() + "/a/b", "text");  // after EnsureDir(folder.path() + "/a")
//
// What file.h promises of a crash means nothing here: whoever "dies" in this process leaves what it
// had written. Modes are not kept. Files that got their names by renaming, as complete ones do,
// share their bytes where these are equal: the same model in a thousand folders is there once. No
// other process sees the files, and FileLock and whoever calls the system itself do not know them.
// Thread-safe, as file.h is.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/mutex.h"

namespace fedwatt {

class MemoryTree;

// Empty at first. With it go all its files, but for those that are still open or mapped.
class MemoryFolder {
 public:
  MemoryFolder();
  ~MemoryFolder();
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;

  // "memory:N", like no other's. Paths below it go through file.h as others do.
  const std::string& path() const { return path_; }

 private:
  uint64_t number_ = 0;
  std::string path_;
};

// ---- For file.cc.

// One file, whatever its name is by now.
class MemoryFile {
 public:
  using Bytes = std::shared_ptr<const std::string>;

  MemoryFile();

  FileInfo Info() const;
  // Its content now; later writes do not change what is held.
  Bytes Hold();
  // Its content, or as much of it as is more than `max_bytes`.
  std::string Read(uint64_t max_bytes) const;
  void Write(uint64_t offset, ByteSpan data);
  void Truncate(uint64_t size);
  void SetModified(int64_t modified_ns);
  // Has these bytes instead of its own, which are equal.
  void Share(const Bytes& equal);

 private:
  std::string* Writable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t number_;
  mutable Mutex mutex_;
  std::shared_ptr<const std::string> bytes_ ABSL_GUARDED_BY(mutex_);
  bool is_held_ ABSL_GUARDED_BY(mutex_) = false;  // by others, too
  int64_t modified_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t changed_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The names. Paths are whole, "memory:N/..."; answers are as of system calls: 0 or an errno.
class MemoryTree {
 public:
  // The tree that the path lies in. Null: it is the system's.
  static std::shared_ptr<MemoryTree> Of(std::string_view path);

  int Inspect(std::string_view path, FileInfo* info) const;
  int Open(std::string_view path, std::shared_ptr<MemoryFile>* file) const;
  // A new empty file, also in the place of an old one, which is truncated.
  int Create(std::string_view path, std::shared_ptr<MemoryFile>* file);
  int MakeDirs(std::string_view path);
  int List(std::string_view path, std::vector<std::string>* names) const;
  int Rename(std::string_view from, std::string_view to);  // files
  int Unlink(std::string_view path);
  int RemoveDir(std::string_view path);  // empty ones
  void RemoveTree(std::string_view path);

 private:
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  struct Node {
    std::shared_ptr<MemoryFile> file;  // null: a folder
    std::unordered_map<std::string, std::unique_ptr<Node>, NameHash, std::equal_to<>> names;
  };

  const Node* Find(std::string_view path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Node* FindFolder(std::string_view path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The folder that `path` is to be in; `name` is its last part. Null: no such folder.
  Node* Parent(std::string_view path, std::string_view* name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void ShareBytes(MemoryFile* file) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  Node root_ ABSL_GUARDED_BY(mutex_);
  // The folder that was last asked for: most calls are about files of one folder.
  mutable std::string last_path_ ABSL_GUARDED_BY(mutex_);
  mutable const Node* last_folder_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::unordered_map<size_t, std::weak_ptr<const std::string>> shared_ ABSL_GUARDED_BY(mutex_);
  size_t swept_ ABSL_GUARDED_BY(mutex_) = 0;  // its size after the last sweep
};

}  // namespace fedwatt
