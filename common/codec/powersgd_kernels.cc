#include "common/codec/powersgd_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/codec/powersgd_kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fedwatt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kLanes = 8;
constexpr size_t kStep = 4;            // vectors at once
constexpr size_t kColumnBlock = 1024;  // four rows of it stay in the first cache

// The products of one row with four vectors, `stride` apart.
void DotFour(const float* HWY_RESTRICT row, const float* HWY_RESTRICT q, size_t stride,
             float* HWY_RESTRICT dots) {
  const hn::CappedTag<float, kLanes> d;
  const size_t lanes = hn::Lanes(d);
  const size_t whole = stride / kLanes * kLanes;
  float sums[kStep][kLanes];
  // Narrow vectors take several passes, so that a sum's lane is always its column mod 8.
  for (size_t lane = 0; lane < kLanes; lane += lanes) {
    auto s0 = hn::Zero(d);
    auto s1 = hn::Zero(d);
    auto s2 = hn::Zero(d);
    auto s3 = hn::Zero(d);
    for (size_t j = lane; j < whole; j += kLanes) {
      const auto x = hn::LoadU(d, row + j);
      s0 = hn::Add(s0, hn::Mul(x, hn::LoadU(d, q + j)));
      s1 = hn::Add(s1, hn::Mul(x, hn::LoadU(d, q + stride + j)));
      s2 = hn::Add(s2, hn::Mul(x, hn::LoadU(d, q + 2 * stride + j)));
      s3 = hn::Add(s3, hn::Mul(x, hn::LoadU(d, q + 3 * stride + j)));
    }
    hn::StoreU(s0, d, sums[0] + lane);
    hn::StoreU(s1, d, sums[1] + lane);
    hn::StoreU(s2, d, sums[2] + lane);
    hn::StoreU(s3, d, sums[3] + lane);
  }
  for (size_t k = 0; k < kStep; ++k) {
    for (size_t j = whole; j < stride; ++j) sums[k][j - whole] += row[j] * q[k * stride + j];
    dots[k] = 0;
    for (const float sum : sums[k]) dots[k] += sum;
  }
}

void ByColumns(const float* HWY_RESTRICT matrix, size_t rows, size_t columns, size_t rank,
               const float* HWY_RESTRICT q, float* HWY_RESTRICT p) {
  for (size_t i = 0; i < rows; ++i) {
    for (size_t k = 0; k < rank; k += kStep) {
      float dots[kStep];
      DotFour(matrix + i * columns, q + k * columns, columns, dots);
      for (size_t t = 0; t < kStep; ++t) p[(k + t) * rows + i] = dots[t];
    }
  }
}

// q[j] += the sum over four rows of p[row] * matrix[row][j].
void AddFourRows(const float* HWY_RESTRICT rows, size_t columns, size_t count, const float* p,
                 float* HWY_RESTRICT q) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const auto p0 = hn::Set(d, p[0]);
  const auto p1 = hn::Set(d, p[1]);
  const auto p2 = hn::Set(d, p[2]);
  const auto p3 = hn::Set(d, p[3]);
  size_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    auto sum = hn::LoadU(d, q + j);
    sum = hn::Add(sum, hn::Mul(p0, hn::LoadU(d, rows + j)));
    sum = hn::Add(sum, hn::Mul(p1, hn::LoadU(d, rows + columns + j)));
    sum = hn::Add(sum, hn::Mul(p2, hn::LoadU(d, rows + 2 * columns + j)));
    sum = hn::Add(sum, hn::Mul(p3, hn::LoadU(d, rows + 3 * columns + j)));
    hn::StoreU(sum, d, q + j);
  }
  for (; j < count; ++j) {
    for (size_t t = 0; t < 4; ++t) q[j] += p[t] * rows[t * columns + j];
  }
}

void ByRows(const float* HWY_RESTRICT matrix, size_t rows, size_t columns, size_t rank,
            const float* HWY_RESTRICT p, float* HWY_RESTRICT q) {
  const size_t whole = rows / 4 * 4;
  for (size_t i = 0; i < whole; i += 4) {
    for (size_t begin = 0; begin < columns; begin += kColumnBlock) {
      const size_t count = std::min(kColumnBlock, columns - begin);
      for (size_t k = 0; k < rank; ++k) {
        AddFourRows(matrix + i * columns + begin, columns, count, p + k * rows + i,
                    q + k * columns + begin);
      }
    }
  }
  for (size_t i = whole; i < rows; ++i) {
    for (size_t k = 0; k < rank; ++k) {
      for (size_t j = 0; j < columns; ++j) {
        q[k * columns + j] += p[k * rows + i] * matrix[i * columns + j];
      }
    }
  }
}

void Expand(const float* HWY_RESTRICT p, size_t rank, const float* HWY_RESTRICT q, size_t stride,
            float* HWY_RESTRICT out, size_t count) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    auto sum = hn::Mul(hn::Set(d, p[0]), hn::LoadU(d, q + j));
    for (size_t k = 1; k < rank; ++k) {
      sum = hn::Add(sum, hn::Mul(hn::Set(d, p[k]), hn::LoadU(d, q + k * stride + j)));
    }
    hn::StoreU(sum, d, out + j);
  }
  for (; j < count; ++j) {
    out[j] = p[0] * q[j];
    for (size_t k = 1; k < rank; ++k) out[j] += p[k] * q[k * stride + j];
  }
}

}  // namespace fedwatt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fedwatt {
HWY_EXPORT(ByColumns);
HWY_EXPORT(ByRows);
HWY_EXPORT(Expand);

void MultiplyByColumns(const float* matrix, const FactorShape& shape, const float* q, float* p) {
  HWY_DYNAMIC_DISPATCH(ByColumns)(matrix, shape.rows, shape.columns, shape.rank, q, p);
}

void MultiplyByRows(const float* matrix, const FactorShape& shape, const float* p, float* q) {
  std::fill_n(q, shape.rank * shape.columns, 0.0f);
  HWY_DYNAMIC_DISPATCH(ByRows)(matrix, shape.rows, shape.columns, shape.rank, p, q);
}

void ExpandRow(std::span<const float> p, const float* q, size_t stride, std::span<float> out) {
  HWY_DYNAMIC_DISPATCH(Expand)(p.data(), p.size(), q, stride, out.data(), out.size());
}
}  // namespace fedwatt
#endif
