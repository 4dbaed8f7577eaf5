#pragma once

#include <span>

namespace fedwatt {

inline constexpr int kMaxCentroidBits = 8;

// The 2^(bits - 1) values >= 0 of the Lloyd-Max quantiser of a standard Gaussian, rising; 1 <= bits
// <= kMaxCentroidBits. Each is the mean of |z| between the midpoints to its neighbours, the fixed
// point of Lloyd's iteration (Lloyd 1982, Max 1960); the test recomputes them.
std::span<const float> HalfNormalCentroids(int bits);

}  // namespace fedwatt
