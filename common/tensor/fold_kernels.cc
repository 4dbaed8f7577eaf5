#include "common/tensor/fold_kernels.h"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/tensor/fold_kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fedwatt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// At 1.5 x 2^52 the last bit of a double is worth 1: adding it rounds to nearest even, and the low
// bits of the sum are the integer.
constexpr double kMagic = 6755399441055744.0;
constexpr int64_t kMagicBits = 0x4338000000000000;
constexpr size_t kScanLanes = 16;

int64_t FoldOne(float x, double factor) {
  const double rounded = static_cast<double>(x) * factor + kMagic;
  int64_t bits;
  std::memcpy(&bits, &rounded, sizeof(bits));
  return bits - kMagicBits;
}

void Fold(const float* HWY_RESTRICT x, double factor, int64_t* HWY_RESTRICT acc, size_t n) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  const hn::Rebind<int64_t, decltype(d)> di;
  const size_t lanes = hn::Lanes(d);
  const auto scale = hn::Set(d, factor);
  const auto magic = hn::Set(d, kMagic);
  const auto magic_bits = hn::Set(di, kMagicBits);
  const auto step = [&](size_t i) HWY_ATTR {
    const auto product = hn::Mul(hn::PromoteTo(d, hn::LoadU(df, x + i)), scale);
    const auto integer = hn::Sub(hn::BitCast(di, hn::Add(product, magic)), magic_bits);
    hn::StoreU(hn::Add(hn::LoadU(di, acc + i), integer), di, acc + i);
  };
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    step(i);
    step(i + lanes);
  }
  for (; i < n; ++i) acc[i] += FoldOne(x[i], factor);
}

void Add(const int64_t* HWY_RESTRICT other, int64_t* HWY_RESTRICT acc, size_t n) {
  const hn::ScalableTag<int64_t> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, acc + i), hn::LoadU(d, other + i)), d, acc + i);
  }
  for (; i < n; ++i) acc[i] += other[i];
}

uint32_t Scan(const float* HWY_RESTRICT x, double* HWY_RESTRICT squares, size_t n) {
  const hn::CappedTag<double, kScanLanes> d;
  const hn::Rebind<float, decltype(d)> df;
  const hn::CappedTag<int32_t, kScanLanes> di;
  const hn::Rebind<float, decltype(di)> dif;
  const size_t lanes = hn::Lanes(d);
  const size_t int_lanes = hn::Lanes(di);
  const auto magnitude = hn::Set(di, 0x7fffffff);
  auto greatest = hn::Zero(di);
  for (size_t i = 0; i < n; i += kScanLanes) {
    for (size_t j = 0; j < kScanLanes; j += lanes) {
      const auto value = hn::PromoteTo(d, hn::LoadU(df, x + i + j));
      const auto sum = hn::Add(hn::LoadU(d, squares + j), hn::Mul(value, value));
      hn::StoreU(sum, d, squares + j);
    }
    for (size_t j = 0; j < kScanLanes; j += int_lanes) {
      const auto bits = hn::BitCast(di, hn::LoadU(dif, x + i + j));
      greatest = hn::Max(greatest, hn::And(bits, magnitude));
    }
  }
  int32_t each[kScanLanes] = {};
  hn::StoreU(greatest, di, each);
  int32_t max = 0;
  for (size_t j = 0; j < int_lanes; ++j) max = each[j] > max ? each[j] : max;
  return static_cast<uint32_t>(max);
}

}  // namespace fedwatt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fedwatt {
HWY_EXPORT(Fold);
HWY_EXPORT(Add);
HWY_EXPORT(Scan);

void FoldKernel(const float* x, double factor, int64_t* acc, size_t n) {
  HWY_DYNAMIC_DISPATCH(Fold)(x, factor, acc, n);
}

void AddKernel(const int64_t* other, int64_t* acc, size_t n) {
  HWY_DYNAMIC_DISPATCH(Add)(other, acc, n);
}

uint32_t ScanKernel(const float* x, double* squares, size_t n) {
  return HWY_DYNAMIC_DISPATCH(Scan)(x, squares, n);
}
}  // namespace fedwatt
#endif
