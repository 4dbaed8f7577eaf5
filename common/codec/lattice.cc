#include "common/codec/lattice.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/codec/lattice_kernels.h"

namespace fedwatt {
namespace {

constexpr uint32_t kCutBits = 0xffff;  // of a float32, that a bfloat16 lacks

float RoundUpToBFloat16(float positive) {
  const uint32_t bits = std::bit_cast<uint32_t>(positive);
  return std::bit_cast<float>((bits + kCutBits) & ~kCutBits);
}

bool IsStep(float step) {
  if (std::bit_cast<uint32_t>(step) == 0) return true;
  return step >= kMinLatticeStep && step <= kMaxLatticeStep &&
         (std::bit_cast<uint32_t>(step) & kCutBits) == 0;
}

absl::Status NotEncodable(std::span<const float> values, uint64_t first) {
  uint64_t bad = 0;
  while (bad + 1 < values.size() && std::fabs(values[bad]) <= kMaxLatticeStep) ++bad;
  return absl::InvalidArgumentError(absl::StrCat("coordinate ", first + bad, " is ", values[bad],
                                                 ": must be finite and within +-",
                                                 kMaxLatticeStep));
}

// Calls fn(step, begin, count) for each block of `size` values.
template <typename Fn>
bool EachBlock(std::span<const float> steps, uint64_t size, const Fn& fn) {
  bool all = true;
  for (uint64_t begin = 0; begin < size; begin += kLatticeBlock) {
    all &= fn(steps[begin / kLatticeBlock], begin, std::min(kLatticeBlock, size - begin));
  }
  return all;
}

}  // namespace

uint64_t LatticeBlocks(uint64_t coordinates) {
  return coordinates / kLatticeBlock + (coordinates % kLatticeBlock != 0 ? 1 : 0);
}

absl::StatusOr<std::vector<float>> LatticeSteps(std::span<const float> values, int bits) {
  if (bits < kMinLatticeBits || bits > kMaxLatticeBits) {
    return absl::InvalidArgumentError(absl::StrCat("a lattice of ", bits, " bits: must be from ",
                                                   kMinLatticeBits, " to ", kMaxLatticeBits));
  }
  const auto levels = static_cast<float>((1 << (bits - 1)) - 1);
  std::vector<float> steps;
  steps.reserve(LatticeBlocks(values.size()));
  for (uint64_t begin = 0; begin < values.size(); begin += kLatticeBlock) {
    const auto block = values.subspan(begin, std::min(kLatticeBlock, values.size() - begin));
    const auto greatest = std::bit_cast<float>(MaxMagnitudeKernel(block.data(), block.size()));
    if (!(greatest <= kMaxLatticeStep)) return NotEncodable(block, begin);
    steps.push_back(
        greatest == 0 ? 0.0f : RoundUpToBFloat16(std::max(greatest / levels, kMinLatticeStep)));
  }
  return steps;
}

absl::Status CheckLatticeSteps(std::span<const float> steps, uint64_t coordinates) {
  if (steps.size() != LatticeBlocks(coordinates)) {
    return absl::InvalidArgumentError(absl::StrCat(steps.size(), " lattice steps for ", coordinates,
                                                   " coordinates; ", LatticeBlocks(coordinates),
                                                   " are expected"));
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    if (IsStep(steps[i])) continue;
    return absl::InvalidArgumentError(absl::StrCat("lattice step ", i, " is ", steps[i],
                                                   ": must be 0 or a bfloat16 from ",
                                                   kMinLatticeStep, " to ", kMaxLatticeStep));
  }
  return absl::OkStatus();
}

void RoundToLattice(std::span<const float> steps, std::span<float> values) {
  EachBlock(steps, values.size(), [&](float step, uint64_t begin, uint64_t count) {
    if (step == 0) {
      std::fill_n(values.begin() + static_cast<ptrdiff_t>(begin), count, 0.0f);
      return true;
    }
    return RoundKernel(step, nullptr, values.data() + begin, count);
  });
}

absl::Status AddAndRound(std::span<const float> steps, std::span<const float> delta,
                         std::span<float> values) {
  const bool finite =
      EachBlock(steps, values.size(), [&](float step, uint64_t begin, uint64_t count) {
        if (step != 0) return RoundKernel(step, delta.data() + begin, values.data() + begin, count);
        // Rounded to any step, for the check alone.
        const bool sums = RoundKernel(1, delta.data() + begin, values.data() + begin, count);
        std::fill_n(values.begin() + static_cast<ptrdiff_t>(begin), count, 0.0f);
        return sums;
      });
  if (finite) return absl::OkStatus();
  return absl::InvalidArgumentError("a coordinate of the new model is not finite");
}

absl::Status ToMultiples(std::span<const float> steps, std::span<const float> values,
                         std::span<int16_t> multiples) {
  const bool exact =
      EachBlock(steps, values.size(), [&](float step, uint64_t begin, uint64_t count) {
        if (step != 0) {
          return ToMultiplesKernel(step, values.data() + begin, multiples.data() + begin, count);
        }
        std::fill_n(multiples.begin() + static_cast<ptrdiff_t>(begin), count, int16_t{0});
        return std::all_of(values.begin() + static_cast<ptrdiff_t>(begin),
                           values.begin() + static_cast<ptrdiff_t>(begin + count),
                           [](float value) { return std::bit_cast<uint32_t>(value) == 0; });
      });
  if (exact) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "a coordinate is no multiple of its block's step; round the model to the lattice first");
}

void FromMultiples(std::span<const float> steps, std::span<const int16_t> multiples,
                   std::span<float> values) {
  EachBlock(steps, values.size(), [&](float step, uint64_t begin, uint64_t count) {
    FromMultiplesKernel(step, multiples.data() + begin, values.data() + begin, count);
    return true;
  });
}

}  // namespace fedwatt
