#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/crypto/sha256.h"
#include "server/round/round.h"

// Immutable bytes by their SHA-256: models, bundles, states.
namespace fedwatt {

// Receives one blob of unknown length; dropped without Commit it leaves nothing behind.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual absl::Status Append(std::span<const uint8_t> data) = 0;
  virtual absl::StatusOr<BlobRef> Commit() = 0;  // durable when it returns
};

// Thread-safe.
class BlobStore {
 public:
  virtual ~BlobStore() = default;
  virtual absl::StatusOr<std::unique_ptr<BlobWriter>> NewBlob() = 0;
  virtual absl::StatusOr<BlobRef> Put(std::span<const uint8_t> data) = 0;  // idempotent, durable
  // NOT_FOUND names the hash and the file that is missing.
  virtual absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const Digest& sha256) = 0;
  // Reads it all: DATA_LOSS names the file whose bytes do not give its name.
  virtual absl::Status Verify(const Digest& sha256) = 0;
  virtual absl::Status Remove(const Digest& sha256) = 0;  // OK when absent
  virtual absl::StatusOr<std::vector<Digest>> List() = 0;
};

absl::StatusOr<std::unique_ptr<BlobStore>> OpenDirBlobStore(const std::string& dir);

}  // namespace fedwatt
