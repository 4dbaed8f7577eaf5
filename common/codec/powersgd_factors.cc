#include "common/codec/powersgd_factors.h"

#include <cmath>
#include <span>

#include "common/codec/half_kernels.h"

namespace fedwatt {
namespace {

constexpr int kSteps = 2;
// A vector of which less is left is rounding noise of those before it.
constexpr double kIndependent = 1e-5;

double Dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

// Gram-Schmidt, twice over each vector: once leaves what float32 rounds. Dependent vectors become
// zero.
void Orthonormalize(std::span<float> vectors, size_t rank, size_t size) {
  for (size_t k = 0; k < rank; ++k) {
    const std::span<float> vector = vectors.subspan(k * size, size);
    const double before = std::sqrt(Dot(vector, vector));
    for (int pass = 0; pass < 2; ++pass) {
      for (size_t l = 0; l < k; ++l) {
        const std::span<const float> other = vectors.subspan(l * size, size);
        const double along = Dot(vector, other);
        for (size_t i = 0; i < size; ++i) {
          vector[i] = static_cast<float>(static_cast<double>(vector[i]) -
                                         along * static_cast<double>(other[i]));
        }
      }
    }
    const double norm = std::sqrt(Dot(vector, vector));
    const double factor = norm > kIndependent * before ? 1 / norm : 0;
    for (float& value : vector) {
      value = static_cast<float>(static_cast<double>(value) * factor);
    }
  }
}

void RoundToBF16(std::span<float> values) {
  std::vector<uint16_t> rounded(values.size());
  F32ToBF16(values, rounded.data());
  BF16ToF32(rounded, values.data());
}

std::vector<uint16_t> ToBF16(std::span<const float> values) {
  std::vector<uint16_t> rounded(values.size());
  F32ToBF16(values, rounded.data());
  return rounded;
}

}  // namespace

Factors FactorMatrix(const float* matrix, const FactorShape& shape, Rng* rng) {
  FactorShape padded = shape;
  padded.rank = (shape.rank + kRankStep - 1) / kRankStep * kRankStep;
  std::vector<float> p(padded.rank * shape.rows);
  std::vector<float> q(padded.rank * shape.columns);
  const std::span<float> used_p(p.data(), shape.rank * shape.rows);
  const std::span<float> used_q(q.data(), shape.rank * shape.columns);
  for (float& value : used_q) {
    value = static_cast<float>(static_cast<int32_t>(rng->NextU32())) * 0x1p-31f;
  }
  for (int step = 0; step < kSteps; ++step) {
    if (step > 0) Orthonormalize(used_q, shape.rank, shape.columns);
    MultiplyByColumns(matrix, padded, q.data(), p.data());
    Orthonormalize(used_p, shape.rank, shape.rows);
    // Q then fits the P that is sent, not the one before rounding.
    if (step == kSteps - 1) RoundToBF16(used_p);
    MultiplyByRows(matrix, padded, p.data(), q.data());
  }
  return {ToBF16(used_p), ToBF16(used_q)};
}

}  // namespace fedwatt
