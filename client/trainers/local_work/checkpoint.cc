#include "client/trainers/local_work/checkpoint.h"

#include <bit>
#include <cstring>
#include <string_view>

#include "common/base/status_macros.h"
#include "common/crypto/sha256.h"

namespace fedwatt {
namespace {

constexpr std::string_view kMagic = "FWCHECK1";
constexpr size_t kHeadBytes = kMagic.size() + sizeof(Digest);
constexpr size_t kLeastBytes = kHeadBytes + sizeof(Digest);

std::string Head(const Digest& identity) { return std::string(kMagic).append(AsText(identity)); }

}  // namespace

std::string UnfinishedCheckpoint(const std::string& path) { return path + ".new"; }

ByteSpan CheckpointFile::Found() {
  if (path_.empty() || !FileExists(path_)) return {};
  absl::StatusOr<MappedFile> file = MappedFile::Open(path_);
  if (file.ok()) {
    const ByteSpan bytes = file->bytes();
    if (bytes.size() >= kLeastBytes && AsText(bytes.first(kHeadBytes)) == Head(identity_)) {
      const ByteSpan hashed = bytes.first(bytes.size() - sizeof(Digest));
      if (AsText(Sha256Of(hashed)) == AsText(bytes.last(sizeof(Digest)))) {
        file_ = *std::move(file);
        return hashed.subspan(kHeadBytes);
      }
    }
  }
  // What cannot be removed is looked at in vain again.
  (void)RemoveIfExists(path_);
  return {};
}

absl::Status CheckpointFile::Save(const std::vector<ByteSpan>& pieces, uint64_t /*steps*/) {
  const std::string unfinished = UnfinishedCheckpoint(path_);
  const auto write = [&]() -> absl::Status {
    FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(unfinished, 0600));
    Sha256 hash;
    const std::string head = Head(identity_);
    hash.Update(AsBytes(head));
    FW_RETURN_IF_ERROR(writer.Append(AsBytes(head)));
    for (const ByteSpan piece : pieces) {
      hash.Update(piece);
      FW_RETURN_IF_ERROR(writer.Append(piece));
    }
    FW_RETURN_IF_ERROR(writer.Append(hash.Finish()));
    return writer.Close();
  };
  absl::Status written = write();
  if (written.ok()) written = RenameFile(unfinished, path_);
  if (!written.ok()) (void)RemoveIfExists(unfinished);
  return written;
}

CheckpointPace::CheckpointPace(const Clock& clock, int64_t every_ms)
    : clock_(clock), every_us_(every_ms * 1000), next_us_(clock.MonotonicUs() + every_us_) {}

bool CheckpointPace::Due() const { return every_us_ > 0 && clock_.MonotonicUs() >= next_us_; }

void CheckpointPace::Tried() { next_us_ = clock_.MonotonicUs() + every_us_; }

ByteSpan CheckpointReader::Bytes(uint64_t size) {
  if (size > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const ByteSpan taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

uint64_t CheckpointReader::U64() {
  uint64_t value = 0;
  const ByteSpan bytes = Bytes(sizeof(value));
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

double CheckpointReader::Real() { return std::bit_cast<double>(U64()); }

std::optional<LossSums> CheckpointReader::Losses() {
  if (U64() == 0) return std::nullopt;
  LossSums sums;
  sums.examples = U64();
  sums.loss_sum = Real();
  sums.loss_sq_sum = Real();
  sums.correct = U64();
  sums.predictions = U64();
  return sums;
}

void CheckpointPieces::U64(uint64_t value) {
  numbers_.push_back(value);
  pieces_.push_back({reinterpret_cast<const uint8_t*>(&numbers_.back()), sizeof(value)});
}

void CheckpointPieces::Real(double value) { U64(std::bit_cast<uint64_t>(value)); }

void CheckpointPieces::Losses(const std::optional<LossSums>& sums) {
  U64(sums.has_value() ? 1 : 0);
  if (!sums.has_value()) return;
  U64(sums->examples);
  Real(sums->loss_sum);
  Real(sums->loss_sq_sum);
  U64(sums->correct);
  U64(sums->predictions);
}

}  // namespace fedwatt
