#include "common/codec/rotation_kernels.h"

#include <algorithm>

#include "common/base/rng.h"

// Arrays of vectors are needed below: sets without a fixed width take the 128-bit one.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/codec/rotation_kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fedwatt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

float WithSign(float x, const uint32_t* signs, size_t i) {
  return (signs[i / 512 * 16 + i % 16] << (i / 16 % 32) & 0x80000000u) != 0 ? -x : x;
}

void Level(float* x, size_t step, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if ((i & step) == 0) {
      const float a = x[i];
      const float b = x[i + step];
      x[i] = a + b;
      x[i + step] = a - b;
    }
  }
}

void HadamardUp(const float* in, const uint32_t* signs, float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = WithSign(in[i], signs, i);
  for (size_t step = 1; step < n; step *= 2) Level(out, step, n);
}

void HadamardDown(float* x, const uint32_t* signs, float scale, size_t n) {
  for (size_t step = n / 2; step > 0; step /= 2) Level(x, step, n);
  for (size_t i = 0; i < n; ++i) x[i] = WithSign(x[i] * scale, signs, i);
}

void Signs(uint64_t key, uint64_t stream, uint64_t first_block, uint32_t* words, size_t count) {
  Rng rng(Rng::State{key, stream, 4 * first_block});
  for (size_t i = 0; i < count; ++i) words[i] = rng.NextU32();
}

#else

// 256 bits: with 512, adjacent lanes would need more shuffles than the wider sums save, and
// callers' buffers, seldom aligned to 64 bytes, would split every load.
using D = hn::CappedTag<float, 8>;
using DI = hn::Rebind<uint32_t, D>;
using V = hn::Vec<D>;
using VI = hn::Vec<DI>;

constexpr size_t kLanes = hn::MaxLanes(D());
// Vectors that are worked on at a time: 16 registers are what most sets have.
constexpr size_t kMaxRows = 8;
// Floats that stay in the first-level cache from one sweep to the next.
constexpr size_t kTile = 4096;
constexpr size_t kRowFloats = 16;
constexpr size_t kRowsPerWord = 32;

// Bit 31 is set where bit `level` of the lane's index is.
alignas(32) constexpr uint32_t kOddLanes[3][8] = {
#define S 0x80000000u
    {0, S, 0, S, 0, S, 0, S},
    {0, 0, S, S, 0, 0, S, S},
    {0, 0, 0, 0, S, S, S, S},
#undef S
};

// Lane i gets lane i ^ (1 << kLevel).
template <int kLevel>
HWY_INLINE V Partner(V v) {
  if constexpr (kLevel == 0) {
    return hn::Shuffle2301(v);
  } else if constexpr (kLevel == 1) {
    return hn::Shuffle1032(v);
  } else {
    return hn::ConcatLowerUpper(D(), v, v);
  }
}

// One level among the lanes of each vector: a + b on the even side, a - b on the odd.
template <int kLevel, size_t kRows>
HWY_INLINE void LaneLevel(V (&v)[kRows]) {
  if constexpr (size_t{1} << kLevel < kLanes) {
    const V odd = hn::BitCast(D(), hn::LoadU(DI(), kOddLanes[kLevel]));
    HWY_UNROLL(8)
    for (size_t j = 0; j < kRows; ++j) v[j] = hn::Add(Partner<kLevel>(v[j]), hn::Xor(v[j], odd));
  }
}

template <size_t kStep, size_t kRows>
HWY_INLINE void RowLevel(V (&v)[kRows]) {
  if constexpr (kStep < kRows) {
    HWY_UNROLL(8)
    for (size_t j = 0; j < kRows; ++j) {
      if ((j & kStep) == 0) {
        const V a = v[j];
        const V b = v[j + kStep];
        v[j] = hn::Add(a, b);
        v[j + kStep] = hn::Sub(a, b);
      }
    }
  }
}

template <size_t kRows>
HWY_INLINE void RowLevelsUp(V (&v)[kRows]) {
  RowLevel<1>(v);
  RowLevel<2>(v);
  RowLevel<4>(v);
}

template <size_t kRows>
HWY_INLINE void RowLevelsDown(V (&v)[kRows]) {
  RowLevel<4>(v);
  RowLevel<2>(v);
  RowLevel<1>(v);
}

// v *= the signs of the coordinates from `first` on, kRows * kLanes of them.
template <size_t kRows>
HWY_INLINE void ApplySigns(const uint32_t* HWY_RESTRICT signs, size_t first, V (&v)[kRows]) {
  constexpr size_t kParts = kRowFloats / kLanes;
  const DI di;
  const VI sign = hn::Set(di, 0x80000000u);
  const uint32_t* words = signs + first / (kRowFloats * kRowsPerWord) * kRowFloats;
  const int row = static_cast<int>(first / kRowFloats % kRowsPerWord);
  VI bits[kParts];
  HWY_UNROLL(4)
  for (size_t p = 0; p < kParts; ++p) {
    bits[p] = hn::ShiftLeftSame(hn::LoadU(di, words + p * kLanes), row);
  }
  HWY_UNROLL(8)
  for (size_t j = 0; j < kRows; ++j) {
    VI& b = bits[j % kParts];
    v[j] = hn::Xor(v[j], hn::BitCast(D(), hn::And(b, sign)));
    b = hn::Add(b, b);
  }
}

// The lowest levels, bits 0 to log2(kRows * kLanes) - 1, of `n` consecutive floats.
template <size_t kRows>
HWY_INLINE void LowLevelsUp(const float* in, const uint32_t* signs, float* out, size_t first,
                            size_t n) {
  const D d;
  for (size_t i = first; i < first + n; i += kRows * kLanes) {
    V v[kRows];
    HWY_UNROLL(8)
    for (size_t j = 0; j < kRows; ++j) v[j] = hn::LoadU(d, in + i + j * kLanes);
    ApplySigns(signs, i, v);
    LaneLevel<0>(v);
    LaneLevel<1>(v);
    LaneLevel<2>(v);
    RowLevelsUp(v);
    HWY_UNROLL(8)
    for (size_t j = 0; j < kRows; ++j) hn::StoreU(v[j], d, out + i + j * kLanes);
  }
}

template <size_t kRows>
HWY_INLINE void LowLevelsDown(float* x, const uint32_t* signs, float scale, size_t first,
                              size_t n) {
  const D d;
  const V factor = hn::Set(d, scale);
  for (size_t i = first; i < first + n; i += kRows * kLanes) {
    V v[kRows];
    HWY_UNROLL(8)
    for (size_t j = 0; j < kRows; ++j) v[j] = hn::LoadU(d, x + i + j * kLanes);
    RowLevelsDown(v);
    LaneLevel<2>(v);
    LaneLevel<1>(v);
    LaneLevel<0>(v);
    HWY_UNROLL(8)
    for (size_t j = 0; j < kRows; ++j) v[j] = hn::Mul(v[j], factor);
    ApplySigns(signs, i, v);
    HWY_UNROLL(8)
    for (size_t j = 0; j < kRows; ++j) hn::StoreU(v[j], d, x + i + j * kLanes);
  }
}

// Levels log2(stride) to log2(stride * kRows) - 1 of `n` floats; kLanes <= stride.
template <size_t kRows, bool kUp>
HWY_INLINE void StridedLevels(float* x, size_t stride, size_t n) {
  const D d;
  for (size_t base = 0; base < n; base += stride * kRows) {
    for (size_t i = base; i < base + stride; i += kLanes) {
      V v[kRows];
      HWY_UNROLL(8)
      for (size_t j = 0; j < kRows; ++j) v[j] = hn::LoadU(d, x + i + j * stride);
      if constexpr (kUp) {
        RowLevelsUp(v);
      } else {
        RowLevelsDown(v);
      }
      HWY_UNROLL(8)
      for (size_t j = 0; j < kRows; ++j) hn::StoreU(v[j], d, x + i + j * stride);
    }
  }
}

template <bool kUp>
void StridedLevelsOf(float* x, size_t rows, size_t stride, size_t n) {
  if (rows == 2) return StridedLevels<2, kUp>(x, stride, n);
  if (rows == 4) return StridedLevels<4, kUp>(x, stride, n);
  return StridedLevels<8, kUp>(x, stride, n);
}

// Levels log2(from) to log2(to) - 1 of `n` floats, with as few sweeps as registers allow.
void LevelsUp(float* x, size_t from, size_t to, size_t n) {
  for (size_t stride = from; stride < to;) {
    const size_t rows = std::min(kMaxRows, to / stride);
    StridedLevelsOf<true>(x, rows, stride, n);
    stride *= rows;
  }
}

void LevelsDown(float* x, size_t from, size_t to, size_t n) {
  for (size_t stride = to; stride > from;) {
    const size_t rows = std::min(kMaxRows, stride / from);
    stride /= rows;
    StridedLevelsOf<false>(x, rows, stride, n);
  }
}

template <size_t kRows>
void Up(const float* in, const uint32_t* signs, float* out, size_t n) {
  const size_t tile = std::min(n, kTile);
  for (size_t i = 0; i < n; i += tile) {
    LowLevelsUp<kRows>(in, signs, out, i, tile);
    LevelsUp(out + i, kRows * kLanes, tile, tile);
  }
  LevelsUp(out, tile, n, n);
}

template <size_t kRows>
void Down(float* x, const uint32_t* signs, float scale, size_t n) {
  const size_t tile = std::min(n, kTile);
  LevelsDown(x, tile, n, n);
  for (size_t i = 0; i < n; i += tile) {
    LevelsDown(x + i, kRows * kLanes, tile, tile);
    LowLevelsDown<kRows>(x, signs, scale, i, tile);
  }
}

void HadamardUp(const float* in, const uint32_t* signs, float* out, size_t n) {
  if (n >= kMaxRows * kLanes) return Up<kMaxRows>(in, signs, out, n);
  Up<kRowFloats / kLanes>(in, signs, out, n);
}

void HadamardDown(float* x, const uint32_t* signs, float scale, size_t n) {
  if (n >= kMaxRows * kLanes) return Down<kMaxRows>(x, signs, scale, n);
  Down<kRowFloats / kLanes>(x, signs, scale, n);
}

// The 64-bit products of all lanes with `factor`: their high and low words.
HWY_INLINE void MulWide(VI x, VI factor, VI* high, VI* low) {
  const DI di;
  const hn::Repartition<uint64_t, DI> dw;
  const auto even = hn::MulEven(x, factor);
  const auto odd = hn::MulEven(hn::BitCast(di, hn::ShiftRight<32>(hn::BitCast(dw, x))), factor);
  *high = hn::OddEven(hn::BitCast(di, odd), hn::BitCast(di, hn::ShiftRight<32>(even)));
  *low = hn::OddEven(hn::BitCast(di, hn::ShiftLeft<32>(odd)), hn::BitCast(di, even));
}

// Philox4x32-10, one block a lane: Philox4x32 in common/base/rng.cc.
void Signs(uint64_t key, uint64_t stream, uint64_t first_block, uint32_t* words, size_t count) {
  const DI di;
  const VI factor0 = hn::Set(di, 0xD2511F53u);
  const VI factor1 = hn::Set(di, 0xCD9E8D57u);
  for (size_t i = 0; i < count; i += 4 * kLanes) {
    const auto block = static_cast<uint32_t>(first_block + i / 4);
    VI x0 = hn::Iota(di, block);
    VI x1 = hn::Set(di, static_cast<uint32_t>(first_block >> 32));
    VI x2 = hn::Set(di, static_cast<uint32_t>(stream));
    VI x3 = hn::Set(di, static_cast<uint32_t>(stream >> 32));
    auto key0 = static_cast<uint32_t>(key);
    auto key1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      VI high0;
      VI low0;
      VI high1;
      VI low1;
      MulWide(x0, factor0, &high0, &low0);
      MulWide(x2, factor1, &high1, &low1);
      x0 = hn::Xor(hn::Xor(high1, x1), hn::Set(di, key0));
      x2 = hn::Xor(hn::Xor(high0, x3), hn::Set(di, key1));
      x1 = low1;
      x3 = low0;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    hn::StoreInterleaved4(x0, x1, x2, x3, di, words + i);
  }
}

#endif

}  // namespace fedwatt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fedwatt {
HWY_EXPORT(HadamardUp);
HWY_EXPORT(HadamardDown);
HWY_EXPORT(Signs);

void HadamardUpKernel(const float* in, const uint32_t* signs, float* out, size_t n) {
  HWY_DYNAMIC_DISPATCH(HadamardUp)(in, signs, out, n);
}

void HadamardDownKernel(float* x, const uint32_t* signs, float scale, size_t n) {
  HWY_DYNAMIC_DISPATCH(HadamardDown)(x, signs, scale, n);
}

void SignKernel(uint64_t key, uint64_t stream, uint64_t first_block, uint32_t* words,
                size_t count) {
  HWY_DYNAMIC_DISPATCH(Signs)(key, stream, first_block, words, count);
}
}  // namespace fedwatt
#endif
