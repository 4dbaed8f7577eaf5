#include "common/codec/symbol_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/codec/symbol_kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fedwatt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

SymbolRange RangeOf(const int16_t* symbols, size_t n) {
  constexpr size_t kMaxLanes = 32;
  const hn::CappedTag<int16_t, kMaxLanes> d;
  const size_t lanes = hn::Lanes(d);
  auto low = hn::Set(d, symbols[0]);
  auto high = low;
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::LoadU(d, symbols + i);
    low = hn::Min(low, value);
    high = hn::Max(high, value);
  }
  int16_t lows[kMaxLanes];
  int16_t highs[kMaxLanes];
  hn::StoreU(low, d, lows);
  hn::StoreU(high, d, highs);
  SymbolRange range{*std::min_element(lows, lows + lanes), *std::max_element(highs, highs + lanes)};
  for (; i < n; ++i) {
    range.min = std::min(range.min, symbols[i]);
    range.max = std::max(range.max, symbols[i]);
  }
  return range;
}

void HighPart(const int16_t* HWY_RESTRICT symbols, int shift, int base, uint8_t* HWY_RESTRICT bytes,
              size_t n) {
  const hn::ScalableTag<int16_t> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  const auto bases = hn::Set(d, static_cast<int16_t>(base));
  const auto escape = hn::Set(du, uint16_t{255});
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto high = hn::ShiftRightSame(hn::LoadU(d, symbols + i), shift);
    // Saturating, so that no difference wraps into the window; below 0 is large when unsigned.
    const auto offset = hn::BitCast(du, hn::SaturatedSub(high, bases));
    hn::StoreU(hn::DemoteTo(d8, hn::BitCast(d, hn::Min(offset, escape))), d8, bytes + i);
  }
  for (; i < n; ++i) {
    const int offset = (symbols[i] >> shift) - base;
    bytes[i] = static_cast<uint8_t>(offset < 0 || offset > 255 ? 255 : offset);
  }
}

void FromHighPart(const uint8_t* bytes, int shift, int base, int16_t* symbols, size_t n) {
  const hn::ScalableTag<int16_t> d;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  const auto bases = hn::Set(d, static_cast<int16_t>(base));
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto high = hn::Add(hn::PromoteTo(d, hn::LoadU(d8, bytes + i)), bases);
    hn::StoreU(hn::ShiftLeftSame(high, shift), d, symbols + i);
  }
  for (; i < n; ++i) {
    symbols[i] = static_cast<int16_t>(static_cast<uint32_t>(bytes[i] + base) << shift);
  }
}

}  // namespace fedwatt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fedwatt {

HWY_EXPORT(RangeOf);
HWY_EXPORT(HighPart);
HWY_EXPORT(FromHighPart);

SymbolRange SymbolRangeKernel(const int16_t* symbols, size_t n) {
  return HWY_DYNAMIC_DISPATCH(RangeOf)(symbols, n);
}

void HighPartKernel(const int16_t* symbols, int shift, int base, uint8_t* bytes, size_t n) {
  HWY_DYNAMIC_DISPATCH(HighPart)(symbols, shift, base, bytes, n);
}

void FromHighPartKernel(const uint8_t* bytes, int shift, int base, int16_t* symbols, size_t n) {
  HWY_DYNAMIC_DISPATCH(FromHighPart)(bytes, shift, base, symbols, n);
}

}  // namespace fedwatt
#endif
