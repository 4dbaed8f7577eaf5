#pragma once

// The random rotation of EDEN: two passes of random signs and a Walsh-Hadamard transform over a
// piece of 16 to 65536 coordinates, a power of two. One pass would leave sparse vectors sparse; two
// make every vector nearly Gaussian. Pieces fit the second-level cache and are independent.
//
//   R = (1 / d) H S2 H S1        R^-1 = (1 / d) S1 H S2 H
//
// The signs of piece p are 4096 words of the Philox stream `seed` from word 4096 p on: S1 the first
// 2048 of them, S2 the next (rotation_kernels.h says which bit is whose). Sums run in a fixed
// order: the same bits on every machine.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/codec/rotation_kernels.h"

namespace fedwatt {

inline constexpr size_t kMaxRotation = size_t{1} << 16;
inline constexpr size_t kMinRotation = 16;

// Names a Philox stream: key and stream of an Rng::State.
struct RotationSeed {
  uint64_t key = 0;
  uint64_t stream = 0;
};

// A value with 16 KiB of scratch; one thread at a time.
class Rotation {
 public:
  explicit Rotation(const RotationSeed& seed) : seed_(seed) {}

  // out = d R in, equally long, may be the same. Values up to 2^80 stay finite. Spans need no
  // alignment, but are a third faster when they begin at a multiple of 32 bytes.
  void Forward(uint64_t piece, std::span<const float> in, std::span<float> out);

  // x = scale d R^-1 x. A scale of 1 / d gives the inverse.
  void Inverse(uint64_t piece, float scale, std::span<float> x);

 private:
  // Fills signs_ for a piece of n coordinates.
  void MakeSigns(uint64_t piece, size_t n);

  const RotationSeed seed_;
  std::array<std::array<uint32_t, SignWords(kMaxRotation)>, 2> signs_;
};

}  // namespace fedwatt
