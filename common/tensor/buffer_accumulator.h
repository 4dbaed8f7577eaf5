#pragma once

// The mean of the buffers of many updates (BatchNorm statistics and counters and the like): floats
// averaged by weight, integers and booleans by maximum.
//
// Floats of every width are summed in 128-bit fixed point, |value| <= 2^32 with
// 126 - 32 - ceil(log2(W N)) bits behind the point (44 at the widest bounds, about 70 usually), so
// that the result depends neither on order nor on how partial sums were merged. Order of calls:
// Create, then Validate + Add for each update and MergeWith, then Mean. One thread at a time.

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/manifest.h"

namespace fedwatt {

class BufferAccumulator {
 public:
  static constexpr double kMaxAbs = 4294967296.0;  // 2^32

  // Bounds as in ChooseScale. INVALID_ARGUMENT if one is 0 or beyond common/base/bounds.h.
  static absl::StatusOr<BufferAccumulator> Create(const Manifest& manifest,
                                                  const UpdateLayout& layout, uint64_t max_weight,
                                                  uint64_t max_reports);

  // INVALID_ARGUMENT, naming the tensor: wrong length, not finite, beyond kMaxAbs.
  absl::Status Validate(std::span<const uint8_t> buffers) const;

  // Adds one update whose buffers passed Validate; 1 <= weight <= max_weight.
  void Add(std::span<const uint8_t> buffers, uint64_t weight);

  // Adds what `other`, created alike, has summed.
  void MergeWith(const BufferAccumulator& other);

  uint64_t total_weight() const { return total_weight_; }

  // layout.buffer_bytes. FAILED_PRECONDITION before the first Add.
  absl::StatusOr<std::vector<uint8_t>> Mean() const;

 private:
  __extension__ using Int128 = __int128;

  struct Field {
    std::string name;
    DType dtype;
    uint64_t offset;  // bytes, in the buffers
    uint64_t elements;
    uint64_t first;  // in sums_ or maxima_
  };

  BufferAccumulator() = default;
  void AddFloats(const Field& field, const uint8_t* data, uint64_t weight);
  void AddIntegers(const Field& field, const uint8_t* data);

  std::vector<Field> fields_;
  std::vector<Int128> sums_;
  std::vector<int64_t> maxima_;
  uint64_t buffer_bytes_ = 0;
  uint64_t total_weight_ = 0;
  int scale_ = 0;
};

}  // namespace fedwatt
