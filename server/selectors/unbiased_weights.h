#pragma once

#include <cstdint>
#include <span>
#include <vector>

// The mean over a sample that was drawn with unequal probabilities, as if all had been drawn:
// sum a_i n_i x_i / sum a_i n_i with a_i = 1 / p_i (Hajek's estimator). Clipping the ratio of the
// weights trades a little bias for a variance that stays bounded.
namespace fedwatt {

// Weights are whole numbers (law 5): those of unbiased jobs are counted in this part of one, so
// that a multiplier keeps three digits even of a weight of 1. max_weight grows by the same factor.
inline constexpr uint64_t kWeightParts = 1024;

// For each p of `inclusion` (above 0): in [1 / clip, 1], 1 for the rarest. p below the greatest p /
// clip count as that; clip is at least 1.
std::vector<double> UnbiasedMultipliers(std::span<const double> inclusion, double clip);

// weight * multiplier in parts, rounded, at least one part. `multiplier` in (0, 1].
uint64_t WeighedParts(uint64_t weight, double multiplier);

}  // namespace fedwatt
