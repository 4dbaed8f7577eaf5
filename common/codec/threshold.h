#pragma once

// The k values of greatest magnitude, at memory speed.
//
// For non-negative floats the order of bits is that of values. Of few out of many, a sample tells a
// magnitude that somewhat more than k exceed; one pass lists these, and the k-th is among them.
// Otherwise, or where the sample was wrong, one pass counts |x| by its upper 16 bits and so finds
// those of the k-th largest; a second counts the lower 15 bits of those that share them. Either way
// the k-th magnitude is exact, memory is O(k), and no values make it slow. Vectors that fit a cache
// are partitioned.

#include <cstdint>
#include <span>
#include <vector>

namespace fedwatt {

// |x| as bits of the k-th largest |x|, and how many lie above it (fewer than k). 1 <= k <=
// values.size(); all finite.
struct MagnitudeThreshold {
  uint32_t bits = 0;
  uint64_t above = 0;
};
MagnitudeThreshold FindThreshold(std::span<const float> values, uint64_t k);

// Positions of the k largest |x| in rising order, of equal ones the first. Zeros are left out:
// there may be fewer than k. k <= values.size(); all finite.
std::vector<uint64_t> LargestMagnitudes(std::span<const float> values, uint64_t k);

}  // namespace fedwatt
