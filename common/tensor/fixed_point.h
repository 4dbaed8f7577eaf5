#pragma once

// Sums that depend neither on order nor on threads: int64 fixed point.
//
//   scale:  s = ChooseScale(B, W, N), once at the start of a round
//   check:  every update completely, before any of it is folded: F32Scanner, or ValidateF32
//   fold:   acc[i] += round(x[i] * weight * clip * 2^s)         FoldF32
//   merge:  acc[i] += other[i]                                   AddI64
//   mean:   out[i] = acc[i] / (total_weight * 2^s)               ToMeanF32
//
// Integer addition is associative, so only the rounding of each addend matters, and that is to
// nearest even of one double product: the same bits on every machine. The kernels are compiled for
// each instruction set (Highway) and chosen at run time; all give the same bits.
//
// All functions are stateless and thread-safe; spans need no alignment.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fedwatt {

inline constexpr int kMinFixedPointScale = 16;

// s for |delta| <= max_abs_delta (B), 1 <= weight <= max_weight (W), at most max_reports (N):
//
//   s = min(62 - ceil(log2(B W N)), 51 - ceil(log2(B W)))
//
// The first keeps the sum within int64, the second each addend below 2^51, up to where adding
// 1.5 x 2^52 to a double rounds it to an integer exactly. INVALID_ARGUMENT when s is below
// kMinFixedPointScale (deltas finer than 2^-16 would vanish), naming the bound to lower and to
// what.
absl::StatusOr<int> ChooseScale(double max_abs_delta, uint64_t max_weight, uint64_t max_reports);

// weight * clip * 2^s, the `factor` of FoldF32.
double FoldFactor(uint64_t weight, double clip, int scale);

// x and acc are equally long; all |x[i] * factor| <= 2^51 (a validated update under ChooseScale's
// bounds).
void FoldF32(std::span<const float> x, double factor, std::span<int64_t> acc);

// Adds `other`, equally long.
void AddI64(std::span<const int64_t> other, std::span<int64_t> acc);

// `divisor` is total_weight * 2^s = FoldFactor(total_weight, 1, s). acc and out are equally long.
void ToMeanF32(std::span<const int64_t> acc, double divisor, std::span<float> out);

struct F32Stats {
  bool finite = true;      // no NaN, no infinity
  float max_abs = 0;       // over finite updates; else not meaningful
  double sum_squares = 0;  // over finite updates; else not meaningful
};

// Statistics of a vector that arrives in blocks; how it is cut changes no bit. The sum of squares
// runs in 16 interleaved partial sums (index mod 16), added up in order at the end. A value; one
// thread at a time.
class F32Scanner {
 public:
  static constexpr size_t kLanes = 16;

  void Add(std::span<const float> values);
  F32Stats Stats() const;

 private:
  std::array<double, kLanes> squares_{};
  uint32_t max_bits_ = 0;  // of |x|: for non-negative floats the order of bits is that of values
  uint64_t position_ = 0;
};

// Statistics of `values`. INVALID_ARGUMENT names the first value that is not finite or beyond
// +-max_abs.
absl::StatusOr<F32Stats> ValidateF32(std::span<const float> values, double max_abs);

// OK, or the error about the first bad value: what ValidateF32 says, for callers that scan blocks.
// `first_index` is that of values[0].
absl::Status FindBadF32(std::span<const float> values, double max_abs, uint64_t first_index);

}  // namespace fedwatt
