#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/crypto/sha256.h"

// Updates on their way in. What comes in pieces goes to a file as it arrives, so that a cut upload
// goes on where it stopped, also after a restart of the coordinator, and so that memory holds none
// of it. What comes whole is small: it stays in memory until it is folded while there is room, and
// goes to a file beyond that.
//
// Nothing is synced: a client keeps its update until the round's outcome, and sends again what a
// power cut took, or what was in the memory of a process that died.
namespace fedwatt {

// A complete update. Thread-safe.
class SpooledUpdate {
 public:
  virtual ~SpooledUpdate() = default;
  virtual uint64_t size() const = 0;
  virtual absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) const = 0;
  // All of it if it is in memory, valid as long as this object; else empty.
  virtual std::span<const uint8_t> bytes() const { return {}; }
};

// One upload in progress; used by one stream at a time (a second Open of the same id closes the
// first: its next Append gives ABORTED).
class SpoolUpload {
 public:
  virtual ~SpoolUpload() = default;
  virtual uint64_t offset() const = 0;  // bytes held
  // INVALID_ARGUMENT: not at offset(), or beyond the declared size. RESOURCE_EXHAUSTED: disk full.
  virtual absl::Status Append(uint64_t offset, std::span<const uint8_t> data) = 0;
  // All bytes there and the hash right; DATA_LOSS otherwise (and the file is dropped).
  virtual absl::Status Finish() = 0;
};

struct SpoolOptions {
  std::string dir;
  uint64_t max_bytes = 0;  // of all files, declared; 0: nine tenths of what the disk has free
  uint64_t max_memory_bytes = 0;  // of all updates that Hold has taken and somebody still has
};

// Thread-safe.
class Spool {
 public:
  virtual ~Spool() = default;
  // Reserves `size` bytes at once. RESOURCE_EXHAUSTED: no room now, try later. An upload of the
  // same id with another hash or size starts afresh.
  virtual absl::StatusOr<std::unique_ptr<SpoolUpload>> Open(const std::string& assignment_id,
                                                            const Digest& sha256,
                                                            uint64_t size) = 0;
  // Takes an update that came whole into memory, until the result is destroyed (which may outlive
  // the spool). Null, with `bytes` as they were: there is no room, so it has to go to a file.
  virtual std::unique_ptr<SpooledUpdate> Hold(std::string* bytes) = 0;
  virtual uint64_t Offset(const std::string& assignment_id, const Digest& sha256) const = 0;
  // NOT_FOUND unless complete (Finish succeeded, in this or an earlier process).
  virtual absl::StatusOr<std::unique_ptr<SpooledUpdate>> Read(const std::string& assignment_id,
                                                              const Digest& sha256) = 0;
  virtual void Remove(const std::string& assignment_id) = 0;
  // Removes all but those for which `keep(assignment_id)`; for start-up.
  virtual void Sweep(const std::function<bool(const std::string&)>& keep) = 0;
  virtual uint64_t bytes_reserved() const = 0;   // of files
  virtual uint64_t bytes_in_memory() const = 0;  // of what Hold gave
};

absl::StatusOr<std::unique_ptr<Spool>> OpenSpool(const SpoolOptions& options);

}  // namespace fedwatt
