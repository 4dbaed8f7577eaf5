#include "common/codec/half_kernels.h"

#include "common/tensor/half_float.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/codec/half_kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fedwatt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Highway's own conversions flush what is subnormal in f16 on some targets, hence integers.

void ToF16(const float* HWY_RESTRICT in, uint16_t* HWY_RESTRICT out, size_t n) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<uint32_t, decltype(df)> du;
  const hn::Rebind<int32_t, decltype(df)> di;
  const hn::Rebind<uint16_t, decltype(df)> d16;
  const size_t lanes = hn::Lanes(df);
  // One half in a float has 2^-24, the unit of f16's subnormals, as its last bit.
  const auto half = hn::Set(df, 0.5f);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(df, in + i));
    const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000));
    const auto magnitude = hn::And(bits, hn::Set(du, 0x7fffffff));
    const auto signed_magnitude = hn::BitCast(di, magnitude);
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1));
    const auto rounded = hn::Add(hn::Add(magnitude, hn::Set(du, 0xfff)), odd);
    auto result = hn::Sub(hn::ShiftRight<13>(rounded), hn::Set(du, 112 << 10));
    const auto units =
        hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(df, magnitude), half)), hn::BitCast(du, half));
    const auto is = [&](uint32_t least) HWY_ATTR {
      return hn::RebindMask(du, hn::Gt(signed_magnitude, hn::Set(di, static_cast<int32_t>(least))));
    };
    result = hn::IfThenElse(is(0x387fffff), result, units);
    result = hn::IfThenElse(is(0x477fefff), hn::Set(du, 0x7c00), result);
    result = hn::IfThenElse(is(0x7f800000), hn::Set(du, 0x7e00), result);
    const auto whole = hn::BitCast(di, hn::Or(result, sign));
    hn::StoreU(hn::DemoteTo(d16, whole), d16, out + i);
  }
  for (; i < n; ++i) out[i] = F32ToF16(in[i]);
}

void FromF16(const uint16_t* HWY_RESTRICT in, float* HWY_RESTRICT out, size_t n) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<uint32_t, decltype(df)> du;
  const hn::Rebind<int32_t, decltype(df)> di;
  const hn::Rebind<uint16_t, decltype(df)> d16;
  const size_t lanes = hn::Lanes(df);
  const auto unit = hn::Set(df, 0x1p-24f);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::PromoteTo(du, hn::LoadU(d16, in + i));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000)));
    const auto magnitude = hn::And(bits, hn::Set(du, 0x7fff));
    const auto signed_magnitude = hn::BitCast(di, magnitude);
    const auto normal = hn::Add(hn::ShiftLeft<13>(magnitude), hn::Set(du, 112 << 23));
    const auto special = hn::Add(normal, hn::Set(du, 112 << 23));
    const auto subnormal = hn::BitCast(du, hn::Mul(hn::ConvertTo(df, signed_magnitude), unit));
    const auto is_normal = hn::RebindMask(du, hn::Gt(signed_magnitude, hn::Set(di, 0x3ff)));
    const auto is_special = hn::RebindMask(du, hn::Gt(signed_magnitude, hn::Set(di, 0x7bff)));
    auto result = hn::IfThenElse(is_normal, normal, subnormal);
    result = hn::IfThenElse(is_special, special, result);
    hn::StoreU(hn::BitCast(df, hn::Or(result, sign)), df, out + i);
  }
  for (; i < n; ++i) out[i] = F16ToF32(in[i]);
}

void ToBF16(const float* HWY_RESTRICT in, uint16_t* HWY_RESTRICT out, size_t n) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<uint32_t, decltype(df)> du;
  const hn::Rebind<int32_t, decltype(df)> di;
  const hn::Rebind<uint16_t, decltype(df)> d16;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(df, in + i));
    const auto magnitude = hn::BitCast(di, hn::And(bits, hn::Set(du, 0x7fffffff)));
    const auto is_nan = hn::RebindMask(du, hn::Gt(magnitude, hn::Set(di, 0x7f800000)));
    const auto top = hn::ShiftRight<16>(bits);
    const auto odd = hn::And(top, hn::Set(du, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(du, 0x7fff)), odd));
    const auto quiet = hn::Or(top, hn::Set(du, 0x40));
    const auto result = hn::BitCast(di, hn::IfThenElse(is_nan, quiet, rounded));
    hn::StoreU(hn::DemoteTo(d16, result), d16, out + i);
  }
  for (; i < n; ++i) out[i] = F32ToBF16(in[i]);
}

void FromBF16(const uint16_t* HWY_RESTRICT in, float* HWY_RESTRICT out, size_t n) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<uint32_t, decltype(df)> du;
  const hn::Rebind<uint16_t, decltype(df)> d16;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, in + i)));
    hn::StoreU(hn::BitCast(df, bits), df, out + i);
  }
  for (; i < n; ++i) out[i] = BF16ToF32(in[i]);
}

}  // namespace fedwatt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fedwatt {
HWY_EXPORT(ToF16);
HWY_EXPORT(FromF16);
HWY_EXPORT(ToBF16);
HWY_EXPORT(FromBF16);

void F32ToF16(std::span<const float> in, uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(ToF16)(in.data(), out, in.size());
}

void F16ToF32(std::span<const uint16_t> in, float* out) {
  HWY_DYNAMIC_DISPATCH(FromF16)(in.data(), out, in.size());
}

void F32ToBF16(std::span<const float> in, uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(ToBF16)(in.data(), out, in.size());
}

void BF16ToF32(std::span<const uint16_t> in, float* out) {
  HWY_DYNAMIC_DISPATCH(FromBF16)(in.data(), out, in.size());
}
}  // namespace fedwatt
#endif
