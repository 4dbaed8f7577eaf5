#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/trainer.h"
#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/model/fleet.h"

// How far a training has come, so that it goes on there after its process ended: by kill -9, by a
// loss of power, or because the client was told to stop. What goes on ends with the same bits as
// what was never interrupted: a checkpoint has parameters, buffers, the optimizer's state and the
// number of steps, from which the order of examples and all random numbers follow.
//
// A checkpoint is a hint. It is not synced: one that a loss of power left damaged is found out by
// its hash, removed, and training begins at the start. So is one of other work.
namespace fedwatt {

// Where checkpoints are. One thread.
class Checkpoints {
 public:
  virtual ~Checkpoints() = default;

  // What was saved last, by an earlier process or this one; empty: nothing that can be used. Valid
  // until Save.
  virtual ByteSpan Found() = 0;

  // Replaces it by `pieces`, one behind the other; `steps` are done. An error leaves the old one.
  virtual absl::Status Save(const std::vector<ByteSpan>& pieces, uint64_t steps) = 0;
};

// One file: "FWCHECK1", the identity of the work, its content, and the SHA-256 of all that.
class CheckpointFile final : public Checkpoints {
 public:
  CheckpointFile(std::string path, const Digest& identity)
      : path_(std::move(path)), identity_(identity) {}

  // Removes a file that is damaged or of another identity.
  ByteSpan Found() override;
  absl::Status Save(const std::vector<ByteSpan>& pieces, uint64_t steps) override;

 private:
  const std::string path_;
  const Digest identity_;
  MappedFile file_;
};

// While it writes, the file is there under this name.
std::string UnfinishedCheckpoint(const std::string& path);

// When to save: every so often, but not for what would be done again sooner than it was saved.
class CheckpointPace {
 public:
  CheckpointPace(const Clock& clock, int64_t every_ms);

  // After a step.
  bool Due() const;
  // Whatever came of it.
  void Tried();

 private:
  const Clock& clock_;
  const int64_t every_us_;  // 0: never
  int64_t next_us_ = 0;
};

// Numbers and bytes of a checkpoint's content, little-endian. After an overrun everything is empty
// and `ok` false.
class CheckpointReader {
 public:
  explicit CheckpointReader(ByteSpan rest) : rest_(rest) {}

  ByteSpan Bytes(uint64_t size);
  uint64_t U64();
  double Real();
  std::optional<LossSums> Losses();
  // All was read, and nothing is left.
  bool Complete() const { return ok_ && rest_.empty(); }
  bool ok() const { return ok_; }

 private:
  ByteSpan rest_;
  bool ok_ = true;
};

// The same on the way in. Numbers are copied, bytes are borrowed until the pieces were saved.
class CheckpointPieces {
 public:
  void U64(uint64_t value);
  void Real(double value);
  void Losses(const std::optional<LossSums>& sums);
  void Bytes(ByteSpan bytes) { pieces_.push_back(bytes); }

  const std::vector<ByteSpan>& pieces() const { return pieces_; }

 private:
  std::deque<uint64_t> numbers_;
  std::vector<ByteSpan> pieces_;
};

}  // namespace fedwatt
