#include "client/sdk/assignment_store.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
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

constexpr std::string_view kMagic = "FWJOURN1";
constexpr size_t kHashBytes = 32;
constexpr size_t kNameDigits = 24;
constexpr char kJournal[] = "journal";
constexpr char kTemporary[] = ".new";

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

absl::Status RemoveDir(const std::string& dir) {
  absl::StatusOr<std::vector<std::string>> names = ListDir(dir);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  FW_RETURN_IF_ERROR(names.status());
  // The journal goes first: what is left of a removal that is cut short is then no record.
  FW_RETURN_IF_ERROR(RemoveIfExists(absl::StrCat(dir, "/", kJournal)));
  for (const std::string& name : *names) {
    FW_RETURN_IF_ERROR(RemoveIfExists(absl::StrCat(dir, "/", name)));
  }
  if (rmdir(dir.c_str()) != 0) return FileError(errno, "remove the folder", dir);
  return absl::OkStatus();
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

std::string EncodeRecord(const AssignmentRecord& record) {
  std::string body;
  PutU64(static_cast<uint64_t>(record.stage), &body);
  PutU64(record.model_inline ? 1 : 0, &body);
  PutU64(record.bundle_inline ? 1 : 0, &body);
  PutU64(static_cast<uint64_t>(record.received_ms), &body);
  PutU64(record.delta_bytes, &body);
  for (const uint64_t bytes : record.part_bytes) PutU64(bytes, &body);
  PutText(wire::AssignmentToBytes(record.assignment), &body);
  PutText(wire::ReportToBytes(record.report), &body);
  const Digest hash = Sha256Of(AsBytes(body));
  return absl::StrCat(std::string(kMagic), std::string(AsText(hash)), body);
}

absl::StatusOr<AssignmentRecord> DecodeRecord(const std::string& bytes) {
  if (bytes.size() < kMagic.size() + kHashBytes || !absl::StartsWith(bytes, "FWJOURN1")) {
    return absl::DataLossError("it is truncated or not a journal of this version");
  }
  const std::string_view all = bytes;
  const std::string_view body = all.substr(kMagic.size() + kHashBytes);
  const Digest hash = Sha256Of(AsBytes(body));
  if (AsText(hash) != all.substr(kMagic.size(), kHashBytes)) {
    return absl::DataLossError("its content does not match its own hash");
  }
  Reader reader{body};
  AssignmentRecord record;
  const uint64_t stage = reader.U64();
  record.model_inline = reader.U64() != 0;
  record.bundle_inline = reader.U64() != 0;
  record.received_ms = static_cast<int64_t>(reader.U64());
  record.delta_bytes = reader.U64();
  for (uint64_t& bytes : record.part_bytes) bytes = reader.U64();
  const std::string assignment = reader.Text();
  const std::string report = reader.Text();
  if (!reader.ok || !reader.rest.empty() || stage < 1 ||
      stage > static_cast<uint64_t>(WorkStage::kReported)) {
    return absl::DataLossError("its fields do not add up");
  }
  record.stage = static_cast<WorkStage>(stage);
  FW_ASSIGN_OR_RETURN(record.assignment, wire::AssignmentFromBytes(assignment));
  FW_ASSIGN_OR_RETURN(record.report, wire::ReportFromBytes(report));
  return record;
}

absl::Status AssignmentStore::Create() const { return EnsureDir(dir_, 0700); }

std::string AssignmentStore::Path(const std::string& id, const std::string& name) const {
  return absl::StrCat(dir_, "/", Sha256Hex(AsBytes(id)).substr(0, kNameDigits), "/", name);
}

absl::Status AssignmentStore::WritePath(const std::string& path, const std::string& data) const {
  if (sync_) return WriteFileAtomic(path, data, 0600);
  const std::string temporary = absl::StrCat(path, kTemporary);
  FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(temporary, 0600));
  FW_RETURN_IF_ERROR(writer.Append(AsBytes(data)));
  FW_RETURN_IF_ERROR(writer.Close());
  return RenameFile(temporary, path);
}

absl::Status AssignmentStore::WriteFile(const std::string& id, const std::string& name,
                                        const std::string& data) const {
  const std::string path = Path(id, name);
  FW_RETURN_IF_ERROR(EnsureDir(DirName(path), 0700));
  return WritePath(path, data);
}

absl::Status AssignmentStore::Put(const AssignmentRecord& record) const {
  return WriteFile(record.assignment.id, kJournal, EncodeRecord(record));
}

absl::Status AssignmentStore::Remove(const std::string& id) const {
  return RemoveDir(DirName(Path(id, kJournal)));
}

absl::StatusOr<std::vector<AssignmentRecord>> AssignmentStore::LoadAll(
    std::vector<std::string>* problems) const {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(dir_));
  std::vector<AssignmentRecord> records;
  for (const std::string& name : names) {
    const std::string folder = absl::StrCat(dir_, "/", name);
    const std::string path = absl::StrCat(folder, "/", kJournal);
    absl::StatusOr<std::string> bytes = ReadFile(path, bounds::kMaxMessageBytes);
    if (absl::IsNotFound(bytes.status())) {
      // Killed while it was created or removed: there is nothing to remember.
      FW_RETURN_IF_ERROR(RemoveDir(folder));
      continue;
    }
    absl::StatusOr<AssignmentRecord> record =
        bytes.ok() ? DecodeRecord(*bytes) : absl::StatusOr<AssignmentRecord>(bytes.status());
    if (record.ok() && Path(record->assignment.id, kJournal) == path) {
      records.push_back(*std::move(record));
      continue;
    }
    problems->push_back(
        absl::StrCat("the journal ", path, " cannot be used and was removed: ",
                     record.ok() ? "it belongs to another assignment" : StatusText(record.status()),
                     "; the coordinator will give the work out again"));
    FW_RETURN_IF_ERROR(RemoveDir(folder));
  }
  std::sort(
      records.begin(), records.end(), [](const AssignmentRecord& a, const AssignmentRecord& b) {
        return std::tie(a.received_ms, a.assignment.id) < std::tie(b.received_ms, b.assignment.id);
      });
  return records;
}

}  // namespace fedwatt
