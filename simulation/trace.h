#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/crypto/sha256.h"
#include "common/model/ids.h"

// What happened in a simulation, in order. Two runs that have the same trace hash did the same.
//
// A trace file is "FWTRACE1" and then records of 48 bytes, little-endian: at_ms i64, kind u32,
// device u32, round u32, attempt u32 (top bit: an evaluation), value i64, then 16 bytes of a digest
// (of an update, a model, or of a text), all zero where there is none. The hash is the SHA-256 of
// the records.
namespace fedwatt {

enum class TraceKind : uint32_t {
  kWake = 1,      // a device; value: how often before
  kSleep,         // dormant; value: milliseconds until it wakes
  kCheckIn,       // value: bytes of the request
  kAssigned,      // value: index of the assignment
  kRejected,      // value: milliseconds that it is to stay away
  kDownload,      // value: bytes
  kTraining,      // value: milliseconds that it will take
  kTrained,       // value: examples
  kReport,        // sent; value: bytes of the message; digest: of the update
  kReplied,       // value: outcome
  kResolved,      // value: outcome
  kFailed,        // digest: of the reason
  kEmptyBattery,  // value: microjoules spent on work that is lost
  kDropout,       // value: likewise
  kRevived,
  kFault,            // a message; value: FaultKind
  kCoordinatorDied,  // value: tasks that it ran
  kCoordinatorUp,
  kCommitted,  // value: reports; digest: the model
  kAbandoned,
  kJobEnded  // value: rounds
};
const char* TraceKindName(TraceKind kind);

inline constexpr uint32_t kNoDevice = UINT32_MAX;

struct TraceRecord {
  int64_t at_ms = 0;
  TraceKind kind = TraceKind::kWake;
  uint32_t device = kNoDevice;
  uint32_t round = 0;
  uint32_t attempt = 0;
  int64_t value = 0;
  std::array<uint8_t, 16> digest{};

  std::string ToString(int64_t start_ms) const;
};

// One thread.
class Trace {
 public:
  static constexpr size_t kRecordBytes = 48;

  // `path`: of the file; empty: only the hash is kept. `listener` hears every record.
  static absl::StatusOr<std::unique_ptr<Trace>> Create(
      const std::string& path, std::function<void(const TraceRecord&)> listener);

  void Add(const TraceRecord& record);
  uint64_t records() const { return records_; }

  // Of all records so far; ends the trace. The file's errors are told here.
  absl::StatusOr<Digest> Finish();

 private:
  Trace() = default;
  void Flush();

  std::function<void(const TraceRecord&)> listener_;
  Sha256 hash_;
  std::vector<uint8_t> buffer_;
  FileWriter file_;
  bool to_file_ = false;
  absl::Status status_;
  uint64_t records_ = 0;
};

// DATA_LOSS: not a trace, or cut short.
absl::StatusOr<std::vector<TraceRecord>> ReadTrace(const std::string& path);

void SetKey(const RoundKey& key, TraceRecord* record);
std::array<uint8_t, 16> ShortDigest(const Digest& digest);
std::array<uint8_t, 16> ShortDigestOf(const std::string& text);

}  // namespace fedwatt
