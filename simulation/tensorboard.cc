#include "simulation/tensorboard.h"

#include <array>
#include <bit>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;
constexpr uint32_t kMask = 0xa282ead8;

std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table;
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}

uint32_t Masked(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + kMask;
}

void PutFixed(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

void PutVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

// Fields of a protobuf message: number and wire type (0 varint, 1 64 bits, 2 bytes, 5 32 bits).
void PutKey(uint32_t number, uint32_t type, std::string* out) {
  PutVarint((number << 3) | type, out);
}

void PutBytes(uint32_t number, std::string_view bytes, std::string* out) {
  PutKey(number, 2, out);
  PutVarint(bytes.size(), out);
  out->append(bytes);
}

void PutWallTime(double seconds, std::string* out) {
  PutKey(1, 1, out);
  PutFixed(std::bit_cast<uint64_t>(seconds), 8, out);
}

std::vector<std::pair<std::string, float>> ScalarsOf(const SimulationPoint& point) {
  const RoundSummary& round = point.round;
  const auto joules = [](int64_t uj) { return static_cast<float>(static_cast<double>(uj) * 1e-6); };
  std::vector<std::pair<std::string, float>> scalars = {
      {"simulated/useful_j", joules(point.tally.useful_uj)},
      {"simulated/wasted_j", joules(point.tally.wasted_uj)},
      {"simulated/lost_j", joules(point.tally.lost_uj)},
      {"round/assigned", static_cast<float>(round.assigned)},
      {"round/reported", static_cast<float>(round.reported)},
      {"round/bytes_up", static_cast<float>(round.bytes_up)},
      {"round/bytes_down", static_cast<float>(round.bytes_down)},
      {"round/virtual_s", static_cast<float>(static_cast<double>(point.at_ms) / 1000)}};
  const auto add = [&scalars](const char* name, const std::optional<double>& value) {
    if (value.has_value()) scalars.emplace_back(name, static_cast<float>(*value));
  };
  add("train/accuracy", round.train_after.accuracy);
  add("train/loss", round.train_after.loss);
  if (round.evaluation.has_value()) {
    add("evaluation/accuracy", round.evaluation->accuracy);
    add("evaluation/loss", round.evaluation->loss);
  }
  return scalars;
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> kTable = MakeTable();
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xFF];
  }
  return ~crc;
}

std::string TensorBoardRecord(std::string_view data) {
  std::string record;
  PutFixed(data.size(), 8, &record);
  PutFixed(Masked(record), 4, &record);
  record.append(data);
  PutFixed(Masked(data), 4, &record);
  return record;
}

std::string TensorBoardHeader(double seconds) {
  std::string event;
  PutWallTime(seconds, &event);
  PutBytes(3, "brain.Event:2", &event);
  return TensorBoardRecord(event);
}

std::string TensorBoardScalars(double seconds, int64_t step,
                               const std::vector<std::pair<std::string, float>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string entry;
    PutBytes(1, tag, &entry);
    PutKey(2, 5, &entry);
    PutFixed(std::bit_cast<uint32_t>(value), 4, &entry);
    PutBytes(1, entry, &summary);
  }
  std::string event;
  PutWallTime(seconds, &event);
  PutKey(2, 0, &event);
  PutVarint(static_cast<uint64_t>(step), &event);
  PutBytes(5, summary, &event);
  return TensorBoardRecord(event);
}

absl::Status WriteTensorBoard(const std::string& folder, const SimulationResult& result) {
  FW_RETURN_IF_ERROR(EnsureDir(folder));
  const double start_s = static_cast<double>(result.job.created_ms) / 1000;
  std::string bytes = TensorBoardHeader(start_s);
  for (const SimulationPoint& point : result.points) {
    if (!point.committed) continue;
    absl::StrAppend(
        &bytes, TensorBoardScalars(start_s + static_cast<double>(point.at_ms) / 1000,
                                   static_cast<int64_t>(point.round.key.round), ScalarsOf(point)));
  }
  return WriteFileAtomic(
      absl::StrCat(folder, "/events.out.tfevents.", result.job.created_ms / 1000, ".fedwatt"),
      bytes);
}

}  // namespace fedwatt
