#pragma once

// Vectors whose coordinates are whole multiples of a step, one step for each block of
// kLatticeBlock coordinates.
//
// A step is 0 or a float32 of eight significant bits (a bfloat16), from kMinLatticeStep to
// kMaxLatticeStep; multiples go to +-kMaxMultiple. Hence each k * step is a float32 exactly: what
// lies on the lattice stays as it is when rounded again, and k can be had back from it.
//
// The loops are compiled for each instruction set (Highway) and chosen at run time; all give the
// same bits. Stateless and thread-safe. `steps` are those of the blocks that the values span, the
// first of which begins with values[0].

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fedwatt {

inline constexpr uint64_t kLatticeBlock = 4096;  // coordinates
inline constexpr int kMinLatticeBits = 4;
inline constexpr int kMaxLatticeBits = 16;
inline constexpr int kMaxMultiple = 32767;
inline constexpr float kMinLatticeStep = 0x1p-126f;  // below, floats lose bits
inline constexpr float kMaxLatticeStep = 0x1p112f;   // its multiples are finite

uint64_t LatticeBlocks(uint64_t coordinates);

// One step for each block: max|x| / (2^(bits - 1) - 1), rounded up to eight significant bits; 0
// where the block is all zero. INVALID_ARGUMENT: a value is not finite or beyond +-kMaxLatticeStep,
// or bits out of range.
absl::StatusOr<std::vector<float>> LatticeSteps(std::span<const float> values, int bits);

// INVALID_ARGUMENT unless they are steps as above, one for each block.
absl::Status CheckLatticeSteps(std::span<const float> steps, uint64_t coordinates);

// Each value to the nearest multiple of its block's step: the float32 quotient to the nearest whole
// number, ties to even. Zeros are positive. `values` are finite.
void RoundToLattice(std::span<const float> steps, std::span<float> values);

// values = values + delta, rounded to the lattice. INVALID_ARGUMENT: a sum is not finite; `values`
// are of no use then.
absl::Status AddAndRound(std::span<const float> steps, std::span<const float> delta,
                         std::span<float> values);

// The multiples that the values are. INVALID_ARGUMENT: a value is not on the lattice, bit for bit.
absl::Status ToMultiples(std::span<const float> steps, std::span<const float> values,
                         std::span<int16_t> multiples);

void FromMultiples(std::span<const float> steps, std::span<const int16_t> multiples,
                   std::span<float> values);

}  // namespace fedwatt
