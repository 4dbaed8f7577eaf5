#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// What a model's flat data means: names, dtypes, shapes and roles, in order.
namespace fedwatt {

enum class DType { kF32 = 1, kF64, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

size_t DTypeBytes(DType dtype);
const char* DTypeName(DType dtype);  // "float32", "int64", ...
bool IsFloating(DType dtype);

enum class TensorRole { kTrainable = 1, kBuffer = 2 };

struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // empty: a scalar
  TensorRole role = TensorRole::kTrainable;

  uint64_t Elements() const;  // product of shape; valid specs never overflow
  uint64_t Bytes() const;
  bool operator==(const TensorSpec&) const = default;
};

// Flat data is the concatenation of the tensors in this order, little-endian, row-major, without
// padding. Immutable after construction, hence safe to share between threads.
class Manifest {
 public:
  // INVALID_ARGUMENT, naming the tensor, when a name is empty or repeated, a shape negative or too
  // large, a trainable tensor not float32, or a bound of common/base/bounds.h exceeded.
  static absl::StatusOr<Manifest> Create(std::vector<TensorSpec> tensors);

  Manifest() = default;

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  uint64_t OffsetBytes(size_t tensor) const { return offsets_[tensor]; }
  uint64_t TotalBytes() const { return total_bytes_; }
  uint64_t TrainableElements() const { return trainable_elements_; }

  bool operator==(const Manifest&) const = default;

 private:
  std::vector<TensorSpec> tensors_;
  std::vector<uint64_t> offsets_;
  uint64_t total_bytes_ = 0;
  uint64_t trainable_elements_ = 0;
};

enum class BufferMode { kAverage = 1, kLocal, kFrozen };

// Which part of a model an update carries, derived alike on both sides from manifest and plan:
// first the coded deltas of the trainable tensors that no frozen glob matches, concatenated in
// manifest order as float32; then, with BufferMode::kAverage, the raw values of all buffers.
struct UpdateLayout {
  struct Piece {
    size_t tensor;          // index in the manifest
    uint64_t model_offset;  // bytes, in the flat model
    uint64_t offset;        // trainables: coordinates of the delta; buffers: bytes of the buffers
    uint64_t elements;
  };
  std::vector<Piece> trainable;
  std::vector<Piece> buffers;
  uint64_t coordinates = 0;  // of the delta
  uint64_t buffer_bytes = 0;
};

// `*` stands for any run of characters, `?` for exactly one. Linear in both lengths' product.
bool GlobMatches(const std::string& glob, const std::string& name);

// `frozen` are globs (`*` and `?`) over tensor names. INVALID_ARGUMENT when a glob matches no
// trainable tensor or nothing is left to train.
absl::StatusOr<UpdateLayout> MakeUpdateLayout(const Manifest& manifest,
                                              const std::vector<std::string>& frozen,
                                              BufferMode buffers);

}  // namespace fedwatt
