#include "common/codec/eden_kernels.h"

#include <algorithm>

// Arrays of vectors are needed below: sets without a fixed width take the 128-bit one.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/codec/eden_kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fedwatt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr size_t kSumLanes = 16;
constexpr size_t kLanes = hn::MaxLanes(D());
constexpr size_t kParts = kSumLanes / kLanes;
constexpr size_t kChunk = 256;

// `term(i)` gives the vector of addends i to i + kLanes - 1.
template <typename Term>
HWY_INLINE double SumInLanes(size_t n, const Term& term) {
  const D d;
  double sums[kSumLanes] = {};
  for (size_t begin = 0; begin < n; begin += kChunk) {
    const size_t end = std::min(n, begin + kChunk);
    V partial[kParts];
    HWY_UNROLL(16)
    for (V& part : partial) part = hn::Zero(d);
    for (size_t i = begin; i < end; i += kSumLanes) {
      HWY_UNROLL(16)
      for (size_t p = 0; p < kParts; ++p) {
        partial[p] = hn::Add(partial[p], term(i + p * kLanes));
      }
    }
    float lanes[kSumLanes];
    HWY_UNROLL(16)
    for (size_t p = 0; p < kParts; ++p) hn::StoreU(partial[p], d, lanes + p * kLanes);
    for (size_t lane = 0; lane < kSumLanes; ++lane) sums[lane] += static_cast<double>(lanes[lane]);
  }
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

double Quantize(const float* HWY_RESTRICT r, float gain, int16_t* HWY_RESTRICT q, size_t n) {
  const D d;
  const hn::Rebind<int16_t, D> d16;
  const V factor = hn::Set(d, gain);
  return SumInLanes(n, [&](size_t i) HWY_ATTR {
    const V z = hn::Mul(hn::LoadU(d, r + i), factor);
    const auto index = hn::NearestInt(z);
    hn::StoreU(hn::DemoteTo(d16, index), d16, q + i);
    return hn::Mul(hn::ConvertTo(d, index), z);
  });
}

void ToFloat(const int16_t* HWY_RESTRICT q, float* HWY_RESTRICT out, size_t n) {
  const D d;
  const hn::Rebind<int32_t, D> d32;
  const hn::Rebind<int16_t, D> d16;
  for (size_t i = 0; i < n; i += kLanes) {
    hn::StoreU(hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d16, q + i))), d, out + i);
  }
}

double Dot(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t n) {
  const D d;
  return SumInLanes(
      n, [&](size_t i) HWY_ATTR { return hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)); });
}

}  // namespace fedwatt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fedwatt {
HWY_EXPORT(Quantize);
HWY_EXPORT(ToFloat);
HWY_EXPORT(Dot);

double QuantizeKernel(const float* r, float gain, int16_t* q, size_t n) {
  return HWY_DYNAMIC_DISPATCH(Quantize)(r, gain, q, n);
}

void ToFloatKernel(const int16_t* q, float* out, size_t n) {
  HWY_DYNAMIC_DISPATCH(ToFloat)(q, out, n);
}

double DotKernel(const float* a, const float* b, size_t n) {
  return HWY_DYNAMIC_DISPATCH(Dot)(a, b, n);
}
}  // namespace fedwatt
#endif
