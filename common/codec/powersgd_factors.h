#pragma once

#include <cstdint>
#include <vector>

#include "common/base/rng.h"
#include "common/codec/powersgd_kernels.h"

namespace fedwatt {

// M ~ P Q^T, rounded to bfloat16; each as `rank` vectors one after another.
struct Factors {
  std::vector<uint16_t> p;
  std::vector<uint16_t> q;
};

// Two steps of subspace iteration from vectors drawn from *rng (uniform in [-1, 1)): P = the
// orthonormalised M Q, Q = M^T P (Vogels, Karimireddy, Jaggi: "PowerSGD", 2019, who take one and
// go on from the last round's Q; a client that trains seldom has none). The same bits on every
// machine. `matrix` is row-major, its values at most 2^60; any rank.
Factors FactorMatrix(const float* matrix, const FactorShape& shape, Rng* rng);

}  // namespace fedwatt
