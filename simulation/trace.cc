#include "simulation/trace.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/hex.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr char kMagic[] = "FWTRACE1";
constexpr size_t kMagicBytes = 8;
constexpr size_t kBufferBytes = 64 * 1024;
constexpr uint64_t kMaxTraceBytes = uint64_t{16} << 30;
constexpr uint32_t kEvaluation = uint32_t{1} << 31;

void Put(uint64_t value, size_t bytes, std::vector<uint8_t>* out) {
  for (size_t i = 0; i < bytes; ++i) out->push_back(static_cast<uint8_t>(value >> (8 * i)));
}

uint64_t Get(const uint8_t* at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= uint64_t{at[i]} << (8 * i);
  return value;
}

constexpr const char* kNames[] = {"",
                                  "wake",
                                  "sleep",
                                  "check-in",
                                  "assigned",
                                  "rejected",
                                  "download",
                                  "training",
                                  "trained",
                                  "report",
                                  "replied",
                                  "resolved",
                                  "failed",
                                  "empty-battery",
                                  "dropout",
                                  "revived",
                                  "fault",
                                  "coordinator-died",
                                  "coordinator-up",
                                  "committed",
                                  "abandoned",
                                  "job-ended"};

}  // namespace

const char* TraceKindName(TraceKind kind) {
  const auto index = static_cast<size_t>(kind);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

std::string TraceRecord::ToString(int64_t start_ms) const {
  std::string line = absl::StrFormat(
      "%12.3f s  %-16s", static_cast<double>(at_ms - start_ms) / 1000, TraceKindName(kind));
  if (device != kNoDevice) absl::StrAppend(&line, " device ", device);
  if (round != 0) {
    absl::StrAppend(&line, (attempt & kEvaluation) != 0 ? " evaluation " : " round ", round,
                    " attempt ", attempt & ~kEvaluation);
  }
  absl::StrAppend(&line, "  ", value);
  if (std::any_of(digest.begin(), digest.end(), [](uint8_t byte) { return byte != 0; })) {
    absl::StrAppend(&line, "  ", HexEncode(ByteSpan(digest)));
  }
  return line;
}

absl::StatusOr<std::unique_ptr<Trace>> Trace::Create(
    const std::string& path, std::function<void(const TraceRecord&)> listener) {
  std::unique_ptr<Trace> trace(new Trace);
  trace->listener_ = std::move(listener);
  if (!path.empty()) {
    FW_ASSIGN_OR_RETURN(trace->file_, FileWriter::Create(path));
    FW_RETURN_IF_ERROR(trace->file_.Append(AsBytes(std::string(kMagic))));
    trace->to_file_ = true;
  }
  return trace;
}

void Trace::Add(const TraceRecord& record) {
  ++records_;
  Put(static_cast<uint64_t>(record.at_ms), 8, &buffer_);
  Put(static_cast<uint64_t>(record.kind), 4, &buffer_);
  Put(record.device, 4, &buffer_);
  Put(record.round, 4, &buffer_);
  Put(record.attempt, 4, &buffer_);
  Put(static_cast<uint64_t>(record.value), 8, &buffer_);
  buffer_.insert(buffer_.end(), record.digest.begin(), record.digest.end());
  if (buffer_.size() >= kBufferBytes) Flush();
  if (listener_) listener_(record);
}

void Trace::Flush() {
  hash_.Update(buffer_);
  if (to_file_ && status_.ok()) status_ = file_.Append(buffer_);
  buffer_.clear();
}

absl::StatusOr<Digest> Trace::Finish() {
  Flush();
  if (to_file_ && status_.ok()) status_ = file_.Close();
  FW_RETURN_IF_ERROR(status_);
  return hash_.Finish();
}

absl::StatusOr<std::vector<TraceRecord>> ReadTrace(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxTraceBytes));
  if (bytes.substr(0, kMagicBytes) != kMagic ||
      (bytes.size() - kMagicBytes) % Trace::kRecordBytes != 0) {
    return absl::DataLossError(absl::StrCat(path, ": not a trace, or cut short"));
  }
  std::vector<TraceRecord> records;
  records.reserve(bytes.size() / Trace::kRecordBytes);
  for (size_t at = kMagicBytes; at < bytes.size(); at += Trace::kRecordBytes) {
    const auto* const raw = reinterpret_cast<const uint8_t*>(bytes.data()) + at;
    TraceRecord& record = records.emplace_back();
    record.at_ms = static_cast<int64_t>(Get(raw, 8));
    record.kind = static_cast<TraceKind>(Get(raw + 8, 4));
    record.device = static_cast<uint32_t>(Get(raw + 12, 4));
    record.round = static_cast<uint32_t>(Get(raw + 16, 4));
    record.attempt = static_cast<uint32_t>(Get(raw + 20, 4));
    record.value = static_cast<int64_t>(Get(raw + 24, 8));
    std::copy_n(raw + 32, record.digest.size(), record.digest.begin());
  }
  return records;
}

void SetKey(const RoundKey& key, TraceRecord* record) {
  record->round = static_cast<uint32_t>(key.round);
  record->attempt = static_cast<uint32_t>(key.attempt) | (key.evaluation ? kEvaluation : 0);
}

std::array<uint8_t, 16> ShortDigest(const Digest& digest) {
  std::array<uint8_t, 16> out;
  std::copy_n(digest.begin(), out.size(), out.begin());
  return out;
}

std::array<uint8_t, 16> ShortDigestOf(const std::string& text) {
  return ShortDigest(Sha256Of(AsBytes(text)));
}

}  // namespace fedwatt
