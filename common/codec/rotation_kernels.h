#pragma once

// The loops of rotation.h, dispatched to the best instruction set; all give the same bits. Internal
// to common/codec, but for the benchmark.
//
// Signs are bits. 16 words of 32 bits hold those of 512 coordinates: coordinate i has bit
// 31 - (i / 16) % 32 of word 16 * (i / 512) + i % 16, and is negated where that is 1.

#include <cstddef>
#include <cstdint>

namespace fedwatt {

// How many words hold the signs of `n` coordinates, n a power of two.
constexpr size_t SignWords(size_t n) { return n < 512 ? 16 : n / 32; }

// SignKernel writes whole multiples of so many words.
inline constexpr size_t kSignWordsUnit = 64;

// words = the Philox stream (key, stream) from block `first_block` on: what Rng gives from position
// 4 * first_block. `count` is a multiple of kSignWordsUnit; no carry into the high half of the
// block's number within it.
void SignKernel(uint64_t key, uint64_t stream, uint64_t first_block, uint32_t* words, size_t count);

// out = H (signs * in), H the Hadamard matrix of +-1 in natural order, n a power of two from 16 on;
// in == out is allowed. Levels of the butterfly from bit 0 up.
void HadamardUpKernel(const float* in, const uint32_t* signs, float* out, size_t n);

// x = signs * (scale * (H x)). Levels from the highest bit down.
void HadamardDownKernel(float* x, const uint32_t* signs, float scale, size_t n);

}  // namespace fedwatt
