#pragma once

// The loops of `powersgd` over a row-major matrix M and factors P (of its rows) and Q (of its
// columns), each stored as `rank` vectors one after another. The same bits on every instruction
// set: sums run in 8 lanes (column mod 8), added up in order.

#include <cstddef>
#include <cstdint>
#include <span>

namespace fedwatt {

// Shape of M, and how many vectors P and Q have.
struct FactorShape {
  size_t rows = 0;
  size_t columns = 0;
  size_t rank = 0;  // of the first two functions: a multiple of kRankStep
};

inline constexpr size_t kRankStep = 4;

// p = M q.
void MultiplyByColumns(const float* matrix, const FactorShape& shape, const float* q, float* p);

// q = M^T p.
void MultiplyByRows(const float* matrix, const FactorShape& shape, const float* p, float* q);

// out[j] = sum over k of p[k] * q[k * stride + j], k rising; `p` is one row's, `q` begins at the
// wanted column.
void ExpandRow(std::span<const float> p, const float* q, size_t stride, std::span<float> out);

}  // namespace fedwatt
