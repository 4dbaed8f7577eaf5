#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/rng.h"

// Draws without replacement, exact in integers.
namespace fedwatt {

// `count` of `members` (fewer if there are fewer), every set equally likely.
std::vector<size_t> DrawUniform(std::span<const uint32_t> members, size_t count, Rng& rng);

// One after another, each time with a probability proportional to the weight. Weights are taken
// relative to the greatest, down to 2^-32 of it; what is below, zero or no number counts as that.
class WeightedDraw {
 public:
  explicit WeightedDraw(std::span<const double> weights);
  size_t left() const { return left_; }
  // A position in `weights`, not drawn before. There must be one left.
  size_t Next(Rng& rng);

 private:
  std::vector<uint64_t> tree_;  // Fenwick's: partial sums
  uint64_t total_ = 0;
  size_t left_ = 0;
};

// ---- Unequal probabilities without replacement: systematic sampling (Madow 1949).

// 1 as a probability.
inline constexpr uint64_t kSurely = uint64_t{1} << 40;

// min(1, K weight / sum), what is beyond 1 redistributed among the others in proportion, in units
// of 1 / kSurely. Their sum is exactly K = min(count, weights.size()) times kSurely; each is at
// least one unit. Weights as of WeightedDraw. At most 2^24 weights.
std::vector<uint64_t> InclusionProbabilities(std::span<const double> weights, uint32_t count);

// Exactly as many positions as the probabilities add up to, each with its own. They are passed in
// the given order, a permutation: two that stand less than a place apart exclude one another, so
// draw the order, too. `start` is uniform below kSurely.
std::vector<size_t> SystematicSample(std::span<const uint64_t> probabilities,
                                     std::span<const uint32_t> order, uint64_t start);

}  // namespace fedwatt
