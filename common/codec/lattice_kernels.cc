#include "common/codec/lattice_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/codec/lattice_kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fedwatt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kMaxLanes = 16;
constexpr float kMaxMultipleF = 32767.0f;
constexpr int32_t kMagnitudeBits = 0x7fffffff;
constexpr int32_t kInfinityBits = 0x7f800000;

using FloatTag = hn::CappedTag<float, kMaxLanes>;
using IntTag = hn::RebindToSigned<FloatTag>;
using ShortTag = hn::Rebind<int16_t, FloatTag>;
using Float = hn::Vec<FloatTag>;
using Int = hn::Vec<IntTag>;

// Clamped before, so that the conversion is the same everywhere.
HWY_INLINE Int Nearest(Float value, Float step) {
  const FloatTag d;
  const auto quotient = hn::Div(value, step);
  return hn::NearestInt(
      hn::Min(hn::Max(quotient, hn::Set(d, -kMaxMultipleF)), hn::Set(d, kMaxMultipleF)));
}

HWY_INLINE Float Multiple(Int k, Float step) { return hn::Mul(hn::ConvertTo(FloatTag(), k), step); }

HWY_INLINE int32_t GreatestOf(Int lanes) {
  const IntTag di;
  int32_t each[kMaxLanes] = {};
  hn::StoreU(lanes, di, each);
  return *std::max_element(each, each + hn::Lanes(di));
}

uint32_t MaxMagnitude(const float* values, size_t n) {
  const FloatTag d;
  const IntTag di;
  const size_t lanes = hn::Lanes(d);
  const auto magnitude = hn::Set(di, kMagnitudeBits);
  auto greatest = hn::Zero(di);
  const auto step = [&](const float* at) HWY_ATTR {
    greatest = hn::Max(greatest, hn::And(hn::BitCast(di, hn::LoadU(d, at)), magnitude));
  };
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) step(values + i);
  if (i < n) {
    float rest[kMaxLanes] = {};
    std::copy(values + i, values + n, rest);
    step(rest);
  }
  return static_cast<uint32_t>(GreatestOf(greatest));
}

template <bool kAdd>
bool Round(float step, const float* delta, float* values, size_t n) {
  const FloatTag d;
  const IntTag di;
  const size_t lanes = hn::Lanes(d);
  const auto steps = hn::Set(d, step);
  const auto magnitude = hn::Set(di, kMagnitudeBits);
  auto greatest = hn::Zero(di);
  const auto one = [&](const float* add, float* at) HWY_ATTR {
    auto value = hn::LoadU(d, at);
    if (kAdd) value = hn::Add(value, hn::LoadU(d, add));
    greatest = hn::Max(greatest, hn::And(hn::BitCast(di, value), magnitude));
    hn::StoreU(Multiple(Nearest(value, steps), steps), d, at);
  };
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) one(delta + (kAdd ? i : 0), values + i);
  if (i < n) {
    float rest[kMaxLanes] = {};
    float add[kMaxLanes] = {};
    std::copy(values + i, values + n, rest);
    if (kAdd) std::copy(delta + i, delta + n, add);
    one(add, rest);
    std::copy(rest, rest + (n - i), values + i);
  }
  return GreatestOf(greatest) < kInfinityBits;
}

bool RoundInPlace(float step, float* values, size_t n) {
  return Round<false>(step, values, values, n);
}

bool AddAndRoundInPlace(float step, const float* delta, float* values, size_t n) {
  return Round<true>(step, delta, values, n);
}

bool Multiples(float step, const float* values, int16_t* multiples, size_t n) {
  const FloatTag d;
  const IntTag di;
  const ShortTag ds;
  const size_t lanes = hn::Lanes(d);
  const auto steps = hn::Set(d, step);
  auto difference = hn::Zero(di);
  const auto one = [&](const float* at, int16_t* out) HWY_ATTR {
    const auto value = hn::LoadU(d, at);
    const auto k = Nearest(value, steps);
    const auto back = hn::BitCast(di, Multiple(k, steps));
    difference = hn::Or(difference, hn::Xor(back, hn::BitCast(di, value)));
    hn::StoreU(hn::DemoteTo(ds, k), ds, out);
  };
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) one(values + i, multiples + i);
  if (i < n) {
    float rest[kMaxLanes] = {};
    int16_t out[kMaxLanes];
    std::copy(values + i, values + n, rest);
    one(rest, out);
    std::copy(out, out + (n - i), multiples + i);
  }
  return hn::AllTrue(di, hn::Eq(difference, hn::Zero(di)));
}

void Values(float step, const int16_t* multiples, float* values, size_t n) {
  const FloatTag d;
  const IntTag di;
  const ShortTag ds;
  const size_t lanes = hn::Lanes(d);
  const auto steps = hn::Set(d, step);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto k = hn::PromoteTo(di, hn::LoadU(ds, multiples + i));
    hn::StoreU(Multiple(k, steps), d, values + i);
  }
  for (; i < n; ++i) values[i] = static_cast<float>(multiples[i]) * step;
}

}  // namespace fedwatt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fedwatt {

HWY_EXPORT(MaxMagnitude);
HWY_EXPORT(RoundInPlace);
HWY_EXPORT(AddAndRoundInPlace);
HWY_EXPORT(Multiples);
HWY_EXPORT(Values);

uint32_t MaxMagnitudeKernel(const float* values, size_t n) {
  return HWY_DYNAMIC_DISPATCH(MaxMagnitude)(values, n);
}

bool RoundKernel(float step, const float* delta, float* values, size_t n) {
  return delta == nullptr ? HWY_DYNAMIC_DISPATCH(RoundInPlace)(step, values, n)
                          : HWY_DYNAMIC_DISPATCH(AddAndRoundInPlace)(step, delta, values, n);
}

bool ToMultiplesKernel(float step, const float* values, int16_t* multiples, size_t n) {
  return HWY_DYNAMIC_DISPATCH(Multiples)(step, values, multiples, n);
}

void FromMultiplesKernel(float step, const int16_t* multiples, float* values, size_t n) {
  HWY_DYNAMIC_DISPATCH(Values)(step, multiples, values, n);
}

}  // namespace fedwatt
#endif
