#include "common/codec/centroid_table.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace fedwatt {
namespace {

// Both halves, rising.
std::vector<float> AllCentroids(int bits) {
  const std::span<const float> half = HalfNormalCentroids(bits);
  std::vector<float> all;
  for (size_t i = half.size(); i > 0; --i) all.push_back(-half[i - 1]);
  all.insert(all.end(), half.begin(), half.end());
  return all;
}

// Of fixed size, so that the copy is one load and one store.
template <size_t kCount>
void LookUp(std::span<const uint8_t> packed, const float* table, float* values) {
  for (size_t i = 0; i < packed.size(); ++i) {
    std::memcpy(values + i * kCount, table + packed[i] * kCount, kCount * sizeof(float));
  }
}

}  // namespace

CentroidLookup::CentroidLookup(int bits) : bits_(bits) {
  const std::vector<float> centroids = AllCentroids(bits);
  const size_t mask = centroids.size() - 1;
  for (size_t byte = 0; byte < 256; ++byte) {
    for (size_t i = 0; i < IndicesPerByte(bits); ++i) {
      table_.push_back(centroids[byte >> (i * static_cast<size_t>(bits)) & mask]);
    }
  }
}

bool CentroidLookup::Valid(std::span<const uint8_t> packed) const {
  const int used = bits_ * static_cast<int>(IndicesPerByte(bits_));
  if (used == 8) return true;
  uint8_t all = 0;
  for (const uint8_t byte : packed) all |= byte;
  return all >> used == 0;
}

void CentroidLookup::Values(std::span<const uint8_t> packed, std::span<float> values) const {
  switch (IndicesPerByte(bits_)) {
    case 8:
      return LookUp<8>(packed, table_.data(), values.data());
    case 4:
      return LookUp<4>(packed, table_.data(), values.data());
    case 2:
      return LookUp<2>(packed, table_.data(), values.data());
    default:
      return LookUp<1>(packed, table_.data(), values.data());
  }
}

CentroidQuantizer::CentroidQuantizer(int bits) : bits_(bits) {
  cells_.fill({std::numeric_limits<float>::infinity(), 0});
  const std::vector<float> centroids = AllCentroids(bits);
  for (size_t i = 0; i + 1 < centroids.size(); ++i) {
    const float threshold = (centroids[i] + centroids[i + 1]) / 2;
    cells_[CellOf(threshold)].threshold = threshold;
  }
  for (size_t i = 1; i < kCells; ++i) {
    cells_[i].below = cells_[i - 1].below + (std::isfinite(cells_[i - 1].threshold) ? 1 : 0);
  }
}

// Monotone, so a threshold in a lower cell is below z however the product was rounded.
size_t CentroidQuantizer::CellOf(float z) {
  constexpr float kCellsPerUnit = kCells / (2 * kReach);
  const float at = (z + kReach) * kCellsPerUnit;
  return static_cast<size_t>(std::clamp(at, 0.0f, static_cast<float>(kCells - 1)));
}

void CentroidQuantizer::Quantize(std::span<const float> x, float gain,
                                 std::span<uint8_t> packed) const {
  const size_t per_byte = IndicesPerByte(bits_);
  const float* next = x.data();
  for (uint8_t& byte : packed) {
    uint32_t indices = 0;
    for (size_t i = 0; i < per_byte; ++i) {
      const float z = *next++ * gain;
      const Cell& cell = cells_[CellOf(z)];
      const uint32_t index = cell.below + (z > cell.threshold ? 1 : 0);
      indices |= index << (i * static_cast<size_t>(bits_));
    }
    byte = static_cast<uint8_t>(indices);
  }
}

}  // namespace fedwatt
