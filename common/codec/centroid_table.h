#pragma once

// Lloyd-Max quantisation of Gaussian values and its inverse, through tables.
//
// Index i of 2^bits is the i-th centroid, rising. A byte holds floor(8 / bits) indices, the first
// in its lowest bits; bits that are left over are zero.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/codec/centroids.h"

namespace fedwatt {

constexpr size_t IndicesPerByte(int bits) { return static_cast<size_t>(8 / bits); }

// From packed indices to values. Immutable and thread-safe.
class CentroidLookup {
 public:
  explicit CentroidLookup(int bits);

  // Every index names a centroid: no bit is set that is left over.
  bool Valid(std::span<const uint8_t> packed) const;

  // Unpacks; values.size() = packed.size() * IndicesPerByte(bits).
  void Values(std::span<const uint8_t> packed, std::span<float> values) const;

 private:
  const int bits_;
  std::vector<float> table_;  // the values of byte b, from b * IndicesPerByte(bits_)
};

// From values to packed indices. Immutable and thread-safe.
class CentroidQuantizer {
 public:
  explicit CentroidQuantizer(int bits);

  // The index of the centroid nearest to gain * x[i]; x.size() = packed.size() *
  // IndicesPerByte(bits).
  void Quantize(std::span<const float> x, float gain, std::span<uint8_t> packed) const;

 private:
  // The grid is so fine that no cell holds two thresholds.
  static constexpr size_t kCells = 2048;
  static constexpr float kReach = 6.5f;  // beyond all thresholds
  struct Cell {
    float threshold;  // the one in it, or infinity
    uint32_t below;   // how many lie in the cells before
  };

  static size_t CellOf(float z);

  const int bits_;
  std::array<Cell, kCells> cells_;
};

}  // namespace fedwatt
