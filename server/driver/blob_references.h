#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/crypto/sha256.h"
#include "server/store/blob_store.h"

// Which jobs need which blobs. Jobs share blobs (a bundle, a warm start), so one may be removed
// only when no job names it. Thread-safe.
namespace fedwatt {

class BlobReferences {
 public:
  explicit BlobReferences(BlobStore* blobs) : blobs_(blobs) {}

  // Held while blobs are written that no job names yet: their content may already be there under
  // another job's name, and must not be removed meanwhile.
  class WriteScope {
   public:
    explicit WriteScope(BlobReferences* owner);
    ~WriteScope();
    WriteScope(const WriteScope&) = delete;
    WriteScope& operator=(const WriteScope&) = delete;

   private:
    BlobReferences* const owner_;
  };

  // Replaces what `job` needs. Call it once the log says so: what it no longer names is removed,
  // at once or when the last WriteScope ends.
  void Set(const std::string& job, std::set<Digest> needed);

  // Adds to what `job` needs.
  void Add(const std::string& job, const std::set<Digest>& needed);

  // Removes every blob that no job needs; for start-up, once every job is known.
  absl::Status Sweep();

 private:
  bool Needed(const Digest& digest) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveDoomed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  BlobStore* const blobs_;
  Mutex mutex_;
  std::map<std::string, std::set<Digest>> by_job_ ABSL_GUARDED_BY(mutex_);
  std::map<Digest, uint32_t> counts_ ABSL_GUARDED_BY(mutex_);
  std::set<Digest> doomed_ ABSL_GUARDED_BY(mutex_);
  int writers_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fedwatt
