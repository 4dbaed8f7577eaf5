#pragma once

// Models and bundles on a device, by content. A blob that is being downloaded is `<hash>.part`, a
// complete one `<hash>`. What is in a file is believed only after Verify.

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/crypto/sha256.h"

namespace fedwatt {

// One thread at a time. Sessions may share a folder of complete blobs (files appear by rename),
// but never `part_dir`.
class BlobCache {
 public:
  // Creates the folders, which must be on one file system. `clock` (which dates uses, for the
  // least-recently-used order) outlives this object. `shared`: others may put blobs into `dir`.
  static absl::StatusOr<BlobCache> Open(const std::string& dir, const std::string& part_dir,
                                        bool shared, uint64_t limit_bytes, const Clock* clock);

  std::string Path(const Digest& sha256) const;
  std::string PartPath(const Digest& sha256) const;

  bool Has(const Digest& sha256) const;
  // Bytes of an unfinished download; creates its file if there is none.
  absl::StatusOr<uint64_t> PartBytes(const Digest& sha256) const;
  // A blob that came whole.
  absl::Status Put(const Digest& sha256, const std::string& data);
  // One that came whole and stays a download.
  absl::Status PutPart(const Digest& sha256, const std::string& data);
  // The file `path` becomes the blob.
  absl::Status Adopt(const Digest& sha256, const std::string& path);
  // The finished download becomes the blob.
  absl::Status Complete(const Digest& sha256);
  // Dates the blob's use.
  void Touch(const Digest& sha256) const;
  // Forgets blob and unfinished download.
  absl::Status Remove(const Digest& sha256);

  // Removes blobs, least recently used first, until `incoming_bytes` more fit the limit. Never
  // one of `pinned`, even if the limit is then exceeded. Whoever writes files by himself asks here
  // first: of a folder that is not shared only those are counted that were there, were asked for or
  // came by the calls above, so that it is not listed each time.
  absl::Status MakeRoom(uint64_t incoming_bytes, const std::set<Digest>& pinned);

  // DATA_LOSS, naming file and hash, unless the file's content hashes to `sha256`. Reads it all.
  static absl::Status Verify(const std::string& path, const Digest& sha256);

 private:
  BlobCache(std::string dir, std::string part_dir, bool shared, uint64_t limit_bytes,
            const Clock* clock)
      : dir_(std::move(dir)),
        part_dir_(std::move(part_dir)),
        shared_(shared),
        limit_bytes_(limit_bytes),
        clock_(clock) {}

  bool Fits(uint64_t incoming_bytes) const;
  void Count(uint64_t bytes);

  std::string dir_;
  std::string part_dir_;
  bool shared_;
  uint64_t limit_bytes_;
  const Clock* clock_;
  std::optional<uint64_t> most_bytes_;  // that there can be; empty: nobody has looked
};

}  // namespace fedwatt
