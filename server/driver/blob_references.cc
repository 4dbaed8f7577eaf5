#include "server/driver/blob_references.h"

#include <utility>

#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {

BlobReferences::WriteScope::WriteScope(BlobReferences* owner) : owner_(owner) {
  MutexLock lock(&owner_->mutex_);
  ++owner_->writers_;
}

BlobReferences::WriteScope::~WriteScope() {
  MutexLock lock(&owner_->mutex_);
  --owner_->writers_;
  owner_->RemoveDoomed();
}

void BlobReferences::Set(const std::string& job, std::set<Digest> needed) {
  MutexLock lock(&mutex_);
  for (const Digest& digest : needed) ++counts_[digest];
  std::set<Digest>& now = by_job_[job];
  for (const Digest& digest : now) {
    const auto it = counts_.find(digest);
    if (--it->second > 0) continue;
    counts_.erase(it);
    doomed_.insert(digest);
  }
  now = std::move(needed);
  RemoveDoomed();
}

void BlobReferences::Add(const std::string& job, const std::set<Digest>& needed) {
  MutexLock lock(&mutex_);
  std::set<Digest>& now = by_job_[job];
  for (const Digest& digest : needed) {
    if (now.insert(digest).second) ++counts_[digest];
  }
}

absl::Status BlobReferences::Sweep() {
  FW_ASSIGN_OR_RETURN(const std::vector<Digest> all, blobs_->List());
  MutexLock lock(&mutex_);
  for (const Digest& digest : all) {
    if (!Needed(digest)) doomed_.insert(digest);
  }
  RemoveDoomed();
  return absl::OkStatus();
}

bool BlobReferences::Needed(const Digest& digest) const { return counts_.contains(digest); }

void BlobReferences::RemoveDoomed() {
  if (writers_ > 0) return;
  for (const Digest& digest : doomed_) {
    if (Needed(digest)) continue;
    // What cannot be removed now is swept at the next start.
    if (const absl::Status status = blobs_->Remove(digest); !status.ok()) {
      LogWarning("cannot remove a blob that no job needs",
                 {{"sha256", DigestHex(digest)}, {"error", StatusText(status)}});
    }
  }
  doomed_.clear();
}

}  // namespace fedwatt
