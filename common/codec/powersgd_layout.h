#pragma once

// Where what stands in an encoding of `powersgd`.
//
//   byte rank; varint number of matrices; for each: varints coordinates since the one before, rows,
//   columns; then, in the order of coordinates, values: float32 outside of matrices; for each
//   matrix P (rank x rows) and Q (rank x columns) as bfloat16.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/codec/codec.h"

namespace fedwatt {

inline constexpr int kMaxPowerSgdRank = 32;
inline constexpr size_t kFactorBytes = 2;

struct FactoredMatrix {
  MatrixShape shape;
  uint64_t data = 0;  // where P begins among the encoding's bytes

  uint64_t end() const { return shape.offset + shape.rows * shape.columns; }
};

struct PowerSgdLayout {
  uint64_t rank = 0;
  // In rising order. One more at the end, without rows: behind the last coordinate and byte. The
  // coordinates between two end where the second's data begin.
  std::vector<FactoredMatrix> matrices;
};

// Those of `matrices` that `rank` makes smaller; of the whole vector, as nearly square as it goes,
// if there are none. INVALID_ARGUMENT: not in rising order, or outside.
absl::StatusOr<std::vector<MatrixShape>> MatricesToFactor(std::span<const MatrixShape> matrices,
                                                          uint64_t rank, uint64_t coordinates);

void AppendPowerSgdHeader(uint64_t rank, std::span<const MatrixShape> matrices, std::string* out);

// INVALID_ARGUMENT: an encoding that there cannot be of so many coordinates.
absl::StatusOr<PowerSgdLayout> ReadPowerSgdLayout(std::span<const uint8_t> encoded,
                                                  uint64_t coordinates);

}  // namespace fedwatt
