#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/fleet.h"

// What a client remembers of its assignments: files named by the first 24 hexadecimal digits of
// SHA-256(id), with the endings
//
//   .journal   stage, assignment and report so far
//   .model     the model, if it came inline with the assignment
//   .delta     what the trainer wrote
//   .update    the encoded update, kept until its outcome is known
//   .residual  what its encoding dropped, likewise (error_feedback.h)
//   .checkpoint  how far its training has come (trainers/local_work/checkpoint.h)
//
// The journal is "FWJOURN2" and then entries, one for every step, appended: length of the rest,
// SHA-256 of the rest, and of the record stage and numbers as little-endian integers and the two
// messages with their lengths. An entry without an assignment leaves it as it was. The last entry
// holds; one that is cut short, which is what a kill in the middle of a write leaves, is as if it
// had not been written.
//
// Earlier versions had a folder for each assignment, with a "FWJOURN1" that was replaced at every
// step; LoadAll takes such folders over.
namespace fedwatt {

// How far the work on an assignment has come, as a restart finds it.
enum class WorkStage : uint32_t {
  kAssigned = 1,  // known; downloading or training
  kTrained,       // the delta is complete; never trained again
  kReady,         // the report (and the update, if it has one) is complete; not acknowledged
  kReported,      // acknowledged; the outcome is not known
};
const char* WorkStageName(WorkStage stage);

struct KeptAssignment {
  WorkStage stage = WorkStage::kAssigned;
  Assignment assignment;  // without inline data: they are in files
  bool model_inline = false;
  // Its training, or evaluation, began and has not ended: if a start finds this, the process died
  // of it (plan_quarantine.h).
  bool training = false;
  int64_t received_ms = 0;  // BootLog::NowMs
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
  absl::StatusOr<std::vector<KeptAssignment>> LoadAll(std::vector<std::string>* problems) const;

  // Makes the record durable, the assignment included.
  absl::Status Put(const KeptAssignment& record) const;
  // The same for a record whose assignment is as the last Put left it.
  absl::Status PutProgress(const KeptAssignment& record) const;

  // Forgets the assignment and its files.
  absl::Status Remove(const std::string& id) const;

  // The model that came with an assignment. To be called before its first Put.
  absl::Status WriteModel(const std::string& id, const std::string& data) const;

  std::string JournalPath(const std::string& id) const { return Path(id, ".journal"); }
  std::string ModelPath(const std::string& id) const { return Path(id, ".model"); }
  std::string DeltaPath(const std::string& id) const { return Path(id, ".delta"); }
  std::string UpdatePath(const std::string& id) const { return Path(id, ".update"); }
  std::string ResidualPath(const std::string& id) const { return Path(id, ".residual"); }
  std::string CheckpointPath(const std::string& id) const { return Path(id, ".checkpoint"); }

  // Replaces any file: after a kill there is the old content or the new.
  absl::Status WritePath(const std::string& path, const std::string& data) const;

  bool sync() const { return sync_; }

 private:
  std::string Path(const std::string& id, const char* ending) const;
  absl::StatusOr<KeptAssignment> Load(const std::string& path) const;
  // Folders of an earlier version; the names of those that could only be left as they are.
  absl::StatusOr<std::set<std::string>> TakeOverFolders(std::vector<std::string>* problems) const;
  absl::Status TakeOver(const std::string& name, std::vector<std::string>* problems) const;
  absl::Status AppendEntry(const KeptAssignment& record, bool with_assignment) const;

  std::string dir_;
  bool sync_;
};

// One entry of a journal, and what all entries of one say together; `bytes` of it are whole
// entries. DATA_LOSS says what is wrong.
std::string EncodeEntry(const KeptAssignment& record, bool with_assignment);
struct Journal {
  KeptAssignment record;
  uint64_t bytes = 0;
};
absl::StatusOr<Journal> DecodeJournal(const std::string& bytes);

}  // namespace fedwatt
