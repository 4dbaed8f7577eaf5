#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/fleet.h"

// What a client remembers of its assignments: a folder for each, `<dir>/<first 24 hexadecimal
// digits of SHA-256(id)>/`, with
//
//   journal         stage, assignment and report so far; replaced atomically at every step
//   model, bundle   what came inline with the assignment
//   delta           what the trainer wrote
//   update          the encoded update, kept until its outcome is known
//   residual        what its encoding dropped, likewise (error_feedback.h)
//
// The journal is "FWJOURN1", SHA-256 of the rest, then stage and kind of the record as little-
// endian integers and the two messages with their lengths.
namespace fedwatt {

// How far the work on an assignment has come, as a restart finds it.
enum class WorkStage : uint32_t {
  kAssigned = 1,  // known; downloading or training
  kTrained,       // `delta` is complete; never trained again
  kReady,         // the report (and `update`, if it has one) is complete; not acknowledged
  kReported,      // acknowledged; the outcome is not known
};
const char* WorkStageName(WorkStage stage);

struct AssignmentRecord {
  WorkStage stage = WorkStage::kAssigned;
  Assignment assignment;  // without inline data: they are in files
  bool model_inline = false;
  bool bundle_inline = false;
  int64_t received_ms = 0;  // wall clock
  uint64_t delta_bytes = 0;
  // Of the unfinished download of bundle and model: bytes that `report` counts, or that were there
  // before this assignment. kNotBegun until then.
  static constexpr uint64_t kNotBegun = UINT64_MAX;
  uint64_t part_bytes[2] = {kNotBegun, kNotBegun};
  Report report;  // grows; update.inline_data stays empty
};

// Thread-safe for calls about different assignments.
class AssignmentStore {
 public:
  // `sync`: survive a loss of power, not only the end of the process.
  AssignmentStore(std::string dir, bool sync) : dir_(std::move(dir)), sync_(sync) {}

  absl::Status Create() const;

  // The records, by time of receipt. What cannot be read is removed with one line in `problems`.
  absl::StatusOr<std::vector<AssignmentRecord>> LoadAll(std::vector<std::string>* problems) const;

  // Makes the record durable, and its folder if needed.
  absl::Status Put(const AssignmentRecord& record) const;

  // Forgets the assignment and its files.
  absl::Status Remove(const std::string& id) const;

  // A file of the assignment's folder.
  absl::Status WriteFile(const std::string& id, const std::string& name,
                         const std::string& data) const;

  std::string Path(const std::string& id, const std::string& name) const;

  // Replaces any file: after a kill there is the old content or the new.
  absl::Status WritePath(const std::string& path, const std::string& data) const;

  bool sync() const { return sync_; }

 private:
  std::string dir_;
  bool sync_;
};

// The journal file's content and back. DATA_LOSS says what is wrong.
std::string EncodeRecord(const AssignmentRecord& record);
absl::StatusOr<AssignmentRecord> DecodeRecord(const std::string& bytes);

}  // namespace fedwatt
