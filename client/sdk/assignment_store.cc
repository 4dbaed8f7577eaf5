#include "client/sdk/assignment_store.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/sha256.h"
#include "common/wire/stored_wire.h"

namespace fedwatt {
namespace {

constexpr std::string_view kMagic = "FWJOURN2";
constexpr std::string_view kOldMagic = "FWJOURN1";
constexpr char kOldJournal[] = "journal";
constexpr size_t kHashBytes = 32;
constexpr uint64_t kModelInline = 1;
constexpr uint64_t kTraining = 2;
constexpr size_t kNameDigits = 24;
constexpr char kJournalEnding[] = ".journal";
constexpr char kTemporary[] = ".new";
// A journal that tries and fails have grown beyond this is written anew.
constexpr uint64_t kRewriteBytes = 1 << 20;

void PutU64(uint64_t value, std::string* out) {
  for (int shift = 0; shift < 64; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

void PutText(const std::string& text, std::string* out) {
  PutU64(text.size(), out);
  out->append(text);
}

// Reads what PutU64 and PutText wrote; after an overrun everything is empty and `ok` false.
struct Reader {
  std::string_view rest;
  bool ok = true;

  std::string_view Take(uint64_t bytes) {
    if (bytes > rest.size()) {
      ok = false;
      rest = {};
      return {};
    }
    const std::string_view taken = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    return taken;
  }

  uint64_t U64() {
    const std::string_view bytes = Take(8);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    }
    return value;
  }

  std::string Text() { return std::string(Take(U64())); }
};

// Of an entry's body. What it does not say stays as it is.
absl::Status ReadBody(std::string_view body, bool is_old, KeptAssignment* record) {
  Reader reader{body};
  const uint64_t stage = reader.U64();
  const uint64_t flags = reader.U64();
  record->model_inline = (flags & kModelInline) != 0;
  record->training = (flags & kTraining) != 0;
  if (is_old) (void)reader.U64();  // whether the bundle came inline
  record->received_ms = static_cast<int64_t>(reader.U64());
  record->delta_bytes = reader.U64();
  for (uint64_t& bytes : record->part_bytes) bytes = reader.U64();
  const std::string assignment = reader.Text();
  const std::string report = reader.Text();
  if (!reader.ok || !reader.rest.empty() || stage < 1 ||
      stage > static_cast<uint64_t>(WorkStage::kReported)) {
    return absl::DataLossError("its fields do not add up");
  }
  record->stage = static_cast<WorkStage>(stage);
  if (!assignment.empty()) {
    FW_ASSIGN_OR_RETURN(record->assignment, wire::AssignmentFromBytes(assignment));
  }
  FW_ASSIGN_OR_RETURN(record->report, wire::ReportFromBytes(report));
  return absl::OkStatus();
}

// `hashed` is a hash and the body that it is of; empty: it is not.
std::string_view BodyOf(std::string_view hashed) {
  if (hashed.size() <= kHashBytes) return {};
  const std::string_view body = hashed.substr(kHashBytes);
  return AsText(Sha256Of(AsBytes(body))) == hashed.substr(0, kHashBytes) ? body
                                                                         : std::string_view();
}

absl::StatusOr<KeptAssignment> DecodeOldJournal(std::string_view bytes) {
  if (bytes.substr(0, kOldMagic.size()) != kOldMagic) {
    return absl::DataLossError("it is truncated or not a journal of this version");
  }
  const std::string_view body = BodyOf(bytes.substr(kOldMagic.size()));
  if (body.empty()) return absl::DataLossError("its content does not match its own hash");
  KeptAssignment record;
  FW_RETURN_IF_ERROR(ReadBody(body, true, &record));
  return record;
}

absl::Status RemoveFolder(const std::string& folder) {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(folder));
  // The journal goes first: what is left of a removal that is cut short is then no record.
  FW_RETURN_IF_ERROR(RemoveIfExists(absl::StrCat(folder, "/", kOldJournal)));
  for (const std::string& name : names) {
    FW_RETURN_IF_ERROR(RemoveIfExists(absl::StrCat(folder, "/", name)));
  }
  return RemoveDir(folder);
}

std::string Unusable(const std::string& journal, const absl::Status& why) {
  return absl::StrCat("the journal ", journal, " cannot be used and was removed: ", StatusText(why),
                      "; the coordinator will give the work out again");
}

bool IsFolder(const std::string& path) {
  const absl::StatusOr<FileInfo> info = InspectFile(path);
  return info.ok() && info->is_dir;
}

}  // namespace

const char* WorkStageName(WorkStage stage) {
  switch (stage) {
    case WorkStage::kAssigned:
      return "assigned";
    case WorkStage::kTrained:
      return "trained";
    case WorkStage::kReady:
      return "ready";
    case WorkStage::kReported:
      return "reported";
  }
  return "unknown";
}

std::string EncodeEntry(const KeptAssignment& record, bool with_assignment) {
  std::string body;
  PutU64(static_cast<uint64_t>(record.stage), &body);
  PutU64((record.model_inline ? kModelInline : 0) | (record.training ? kTraining : 0), &body);
  PutU64(static_cast<uint64_t>(record.received_ms), &body);
  PutU64(record.delta_bytes, &body);
  for (const uint64_t bytes : record.part_bytes) PutU64(bytes, &body);
  PutText(with_assignment ? wire::AssignmentToBytes(record.assignment) : "", &body);
  PutText(wire::ReportToBytes(record.report), &body);
  const Digest hash = Sha256Of(AsBytes(body));
  std::string entry;
  PutU64(hash.size() + body.size(), &entry);
  return absl::StrCat(entry, std::string(AsText(hash)), body);
}

absl::StatusOr<Journal> DecodeJournal(const std::string& bytes) {
  if (!absl::StartsWith(bytes, "FWJOURN2")) {
    return absl::DataLossError("it is truncated or not a journal of this version");
  }
  Journal journal;
  Reader reader{std::string_view(bytes).substr(kMagic.size())};
  while (true) {
    const std::string_view entry = reader.Take(reader.U64());
    if (!reader.ok) break;
    const std::string_view body = BodyOf(entry);
    if (body.empty()) {
      // A power cut may leave the last entry with its length and zeros instead of its bytes.
      if (reader.rest.find_first_not_of('\0') == std::string_view::npos) break;
      return absl::DataLossError("its content does not match its own hash");
    }
    FW_RETURN_IF_ERROR(ReadBody(body, false, &journal.record));
    journal.bytes = bytes.size() - reader.rest.size();
  }
  if (!journal.record.assignment.id.empty()) return journal;
  return absl::DataLossError("it is truncated: no entry is whole");
}

absl::Status AssignmentStore::Create() const { return EnsureDir(dir_, 0700); }

std::string AssignmentStore::Path(const std::string& id, const char* ending) const {
  return absl::StrCat(dir_, "/", Sha256Hex(AsBytes(id)).substr(0, kNameDigits), ending);
}

absl::Status AssignmentStore::WritePath(const std::string& path, const std::string& data) const {
  if (sync_) return WriteFileAtomic(path, data, 0600);
  const std::string temporary = absl::StrCat(path, kTemporary);
  FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(temporary, 0600));
  FW_RETURN_IF_ERROR(writer.Append(AsBytes(data)));
  FW_RETURN_IF_ERROR(writer.Close());
  return RenameFile(temporary, path);
}

// Not by way of another name: without a journal nobody believes it.
absl::Status AssignmentStore::WriteModel(const std::string& id, const std::string& data) const {
  FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(ModelPath(id), 0600));
  FW_RETURN_IF_ERROR(writer.Append(AsBytes(data)));
  if (sync_) FW_RETURN_IF_ERROR(writer.Sync());
  return writer.Close();
}

absl::Status AssignmentStore::Put(const KeptAssignment& record) const {
  return AppendEntry(record, true);
}

absl::Status AssignmentStore::PutProgress(const KeptAssignment& record) const {
  return AppendEntry(record, false);
}

absl::Status AssignmentStore::AppendEntry(const KeptAssignment& record,
                                          bool with_assignment) const {
  const std::string path = JournalPath(record.assignment.id);
  absl::StatusOr<FileWriter> journal = FileWriter::Open(path);
  const bool is_new = absl::IsNotFound(journal.status());
  if (is_new) journal = FileWriter::Create(path, 0600);
  FW_RETURN_IF_ERROR(journal.status());
  const uint64_t before = journal->size();
  const std::string entry = EncodeEntry(record, with_assignment || before == 0);
  if (before > kRewriteBytes) {
    return WritePath(path, absl::StrCat(std::string(kMagic), EncodeEntry(record, true)));
  }
  absl::Status written =
      journal->Append(AsBytes(before == 0 ? absl::StrCat(std::string(kMagic), entry) : entry));
  if (written.ok() && sync_) written = journal->Sync();
  // The next entry must not come after half of this one.
  if (!written.ok()) (void)journal->Truncate(before);
  if (written.ok() && sync_ && is_new) return FsyncDir(dir_);
  return written;
}

absl::Status AssignmentStore::Remove(const std::string& id) const {
  // The journal goes first: what is left of a removal that is cut short is then no record.
  for (const std::string& path :
       {JournalPath(id), ModelPath(id), DeltaPath(id), UpdatePath(id), ResidualPath(id),
        CheckpointPath(id), CheckpointPath(id) + kTemporary}) {
    FW_RETURN_IF_ERROR(RemoveIfExists(path));
  }
  return absl::OkStatus();
}

absl::StatusOr<KeptAssignment> AssignmentStore::Load(const std::string& path) const {
  FW_ASSIGN_OR_RETURN(const std::string bytes,
                      ReadFile(path, kRewriteBytes + bounds::kMaxMessageBytes));
  FW_ASSIGN_OR_RETURN(Journal journal, DecodeJournal(bytes));
  if (JournalPath(journal.record.assignment.id) != path) {
    return absl::DataLossError("it belongs to another assignment");
  }
  if (journal.bytes < bytes.size()) {
    FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Open(path));
    FW_RETURN_IF_ERROR(file.Truncate(journal.bytes));
  }
  return std::move(journal.record);
}

absl::Status AssignmentStore::TakeOver(const std::string& name,
                                       std::vector<std::string>* problems) const {
  const std::string folder = absl::StrCat(dir_, "/", name);
  const std::string path = absl::StrCat(folder, "/", kOldJournal);
  const absl::StatusOr<std::string> bytes = ReadFile(path, bounds::kMaxMessageBytes);
  // Killed while it was created, taken over or removed: there is nothing more to remember.
  if (absl::IsNotFound(bytes.status()) || FileExists(folder + kJournalEnding)) {
    return RemoveFolder(folder);
  }
  absl::StatusOr<KeptAssignment> record =
      bytes.ok() ? DecodeOldJournal(*bytes) : absl::StatusOr<KeptAssignment>(bytes.status());
  if (record.ok() && JournalPath(record->assignment.id) != folder + kJournalEnding) {
    record = absl::DataLossError("it belongs to another assignment");
  }
  if (!record.ok()) {
    problems->push_back(Unusable(path, record.status()));
    return RemoveFolder(folder);
  }
  // Before the journal: it says that they are there.
  for (const char* file : {"model", "delta", "update", "residual"}) {
    const std::string from = absl::StrCat(folder, "/", file);
    if (FileExists(from)) FW_RETURN_IF_ERROR(RenameFile(from, absl::StrCat(folder, ".", file)));
  }
  FW_RETURN_IF_ERROR(WritePath(folder + kJournalEnding,
                               absl::StrCat(std::string(kMagic), EncodeEntry(*record, true))));
  return RemoveFolder(folder);
}

absl::StatusOr<std::set<std::string>> AssignmentStore::TakeOverFolders(
    std::vector<std::string>* problems) const {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir_));
  std::set<std::string> left;
  for (const std::string& name : names) {
    if (!IsFolder(absl::StrCat(dir_, "/", name))) continue;
    const absl::Status taken = TakeOver(name, problems);
    if (taken.ok()) continue;
    problems->push_back(absl::StrCat("cannot take over ", dir_, "/", name,
                                     " from an earlier version: ", StatusText(taken),
                                     "; the next start tries again"));
    left.insert(name);
  }
  return left;
}

absl::StatusOr<std::vector<KeptAssignment>> AssignmentStore::LoadAll(
    std::vector<std::string>* problems) const {
  FW_ASSIGN_OR_RETURN(std::set<std::string> known, TakeOverFolders(problems));
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir_));
  std::vector<KeptAssignment> records;
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, kJournalEnding)) continue;
    const std::string path = absl::StrCat(dir_, "/", name);
    absl::StatusOr<KeptAssignment> record = Load(path);
    if (record.ok()) {
      records.push_back(*std::move(record));
      known.insert(name.substr(0, kNameDigits));
      continue;
    }
    problems->push_back(Unusable(path, record.status()));
  }
  // Whoever was killed between a journal and its other files left nothing to remember.
  for (const std::string& name : names) {
    if (known.contains(name.substr(0, kNameDigits))) continue;
    FW_RETURN_IF_ERROR(RemoveIfExists(absl::StrCat(dir_, "/", name)));
  }
  std::sort(records.begin(), records.end(), [](const KeptAssignment& a, const KeptAssignment& b) {
    return std::tie(a.received_ms, a.assignment.id) < std::tie(b.received_ms, b.assignment.id);
  });
  return records;
}

}  // namespace fedwatt
