#include "common/codec/threshold.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/codec/threshold.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fedwatt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Indices of x with least <= |x| as bits <= most; returns how many. Both below 2^31.
size_t Select(const float* HWY_RESTRICT x, size_t n, uint32_t least, uint32_t most,
              uint32_t* HWY_RESTRICT indices) {
  const hn::ScalableTag<int32_t> d;
  const hn::Rebind<float, decltype(d)> df;
  const size_t lanes = hn::Lanes(d);
  const auto magnitude = hn::Set(d, 0x7fffffff);
  const auto below = hn::Set(d, static_cast<int32_t>(least) - 1);
  const auto top = hn::Set(d, static_cast<int32_t>(most));
  size_t found = 0;
  const auto inside = [&](size_t i) HWY_ATTR {
    const auto bits = hn::And(hn::BitCast(d, hn::LoadU(df, x + i)), magnitude);
    return hn::AndNot(hn::Gt(bits, top), hn::Gt(bits, below));
  };
  const auto list = [&](size_t begin, auto mask) HWY_ATTR {
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, mask, bytes);
    uint64_t bits;
    std::memcpy(&bits, bytes, sizeof(bits));
    for (; bits != 0; bits &= bits - 1) {
      indices[found++] =
          static_cast<uint32_t>(begin) + static_cast<uint32_t>(std::countr_zero(bits));
    }
  };
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const auto m0 = inside(i);
    const auto m1 = inside(i + lanes);
    const auto m2 = inside(i + 2 * lanes);
    const auto m3 = inside(i + 3 * lanes);
    if (HWY_LIKELY(hn::AllFalse(d, hn::Or(hn::Or(m0, m1), hn::Or(m2, m3))))) continue;
    list(i, m0);
    list(i + lanes, m1);
    list(i + 2 * lanes, m2);
    list(i + 3 * lanes, m3);
  }
  for (; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof(bits));
    bits &= 0x7fffffff;
    if (bits >= least && bits <= most) indices[found++] = static_cast<uint32_t>(i);
  }
  return found;
}

}  // namespace fedwatt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fedwatt {
HWY_EXPORT(Select);
namespace {

constexpr int kLowBits = 15;
constexpr size_t kUpper = size_t{1} << (31 - kLowBits);
constexpr size_t kLower = size_t{1} << kLowBits;
constexpr size_t kBlock = 4096;
constexpr uint32_t kMostFinite = 0x7f7fffff;

// Equal values close to each other would wait for one another's count, hence four tables.
using Tables = std::array<std::array<uint32_t, kUpper>, 4>;

void CountUpper(const float* x, size_t n, Tables* tables) {
  auto& [a, b, c, d] = *tables;
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    uint64_t two[2];  // two values a load: 32 and 17 bits off the top of each
    std::memcpy(two, x + i, sizeof(two));
    ++a[two[0] << 33 >> (33 + kLowBits)];
    ++b[two[0] << 1 >> (33 + kLowBits)];
    ++c[two[1] << 33 >> (33 + kLowBits)];
    ++d[two[1] << 1 >> (33 + kLowBits)];
  }
  for (; i < n; ++i) ++a[std::bit_cast<uint32_t>(x[i]) << 1 >> (1 + kLowBits)];
}

std::vector<uint64_t> UpperHistogram(std::span<const float> values) {
  constexpr size_t kFlush = size_t{1} << 31;  // keeps 32-bit counts from overflowing
  std::vector<uint64_t> counts(kUpper);
  std::vector<Tables> tables(1);
  for (size_t begin = 0; begin < values.size(); begin += kFlush) {
    const size_t count = std::min(kFlush, values.size() - begin);
    tables[0] = {};
    CountUpper(values.data() + begin, count, &tables[0]);
    for (size_t i = 0; i < kUpper; ++i) {
      for (const auto& table : tables[0]) counts[i] += table[i];
    }
  }
  return counts;
}

// Calls take(position), which says whether to go on, for each value with least <= |x| as bits <=
// most, in rising order.
template <typename Take>
void ForEachWithin(std::span<const float> values, uint32_t least, uint32_t most, Take take) {
  uint32_t indices[kBlock];
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, values.size() - begin);
    const size_t found =
        HWY_DYNAMIC_DISPATCH(Select)(values.data() + begin, count, least, most, indices);
    for (size_t i = 0; i < found; ++i) {
      if (!take(begin + indices[i])) return;
    }
  }
}

uint32_t MagnitudeBits(float x) { return std::bit_cast<uint32_t>(x) & 0x7fffffff; }

// The bin that holds the k-th largest; *above gets what lies in higher ones.
size_t BinOf(std::span<const uint64_t> counts, uint64_t k, uint64_t* above) {
  size_t bin = counts.size() - 1;
  for (; bin > 0 && *above + counts[bin] < k; --bin) *above += counts[bin];
  return bin;
}

MagnitudeThreshold ThresholdByCounting(std::span<const float> values, uint64_t k) {
  MagnitudeThreshold threshold;
  const size_t upper = BinOf(UpperHistogram(values), k, &threshold.above);
  const auto least = static_cast<uint32_t>(upper << kLowBits);
  std::vector<uint64_t> counts(kLower);
  ForEachWithin(values, least, least + (kLower - 1), [&](size_t position) {
    ++counts[MagnitudeBits(values[position]) - least];
    return true;
  });
  threshold.bits = least + static_cast<uint32_t>(BinOf(counts, k, &threshold.above));
  return threshold;
}

// A magnitude that, going by a sample, a few more than k exceed; 0 where that would not help.
uint32_t SampledFloor(std::span<const float> values, uint64_t k) {
  constexpr size_t kSample = 8192;
  if (values.size() < 16 * kSample || k > values.size() / 32) return 0;
  const size_t stride = values.size() / kSample;
  std::vector<uint32_t> sample(kSample);
  for (size_t i = 0; i < kSample; ++i) sample[i] = MagnitudeBits(values[i * stride]);
  const double expected = static_cast<double>(k) / static_cast<double>(stride);
  const auto rank = static_cast<std::ptrdiff_t>(expected + 4 * std::sqrt(expected) + 8);
  std::nth_element(sample.begin(), sample.begin() + rank, sample.end(), std::greater<>());
  return sample[static_cast<size_t>(rank)];
}

// At least k positions that hold the k largest, few enough to look at each; or none.
std::vector<uint64_t> Candidates(std::span<const float> values, uint64_t k) {
  std::vector<uint64_t> positions;
  const uint32_t floor = SampledFloor(values, k);
  if (floor == 0) return positions;
  const uint64_t limit = 4 * k + values.size() / 64;
  ForEachWithin(values, floor, kMostFinite, [&](size_t position) {
    positions.push_back(position);
    return positions.size() <= limit;
  });
  if (positions.size() < k || positions.size() > limit) positions.clear();
  return positions;
}

MagnitudeThreshold KthOf(std::vector<uint32_t> magnitudes, uint64_t k) {
  const auto kth = magnitudes.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(magnitudes.begin(), kth, magnitudes.end(), std::greater<>());
  const uint32_t bits = *kth;
  const auto above = std::count_if(magnitudes.begin(), kth, [&](uint32_t m) { return m > bits; });
  return {bits, static_cast<uint64_t>(above)};
}

MagnitudeThreshold ThresholdOf(std::span<const float> values, std::span<const uint64_t> candidates,
                               uint64_t k) {
  // Clearing and adding up the counters takes longer than to look at so few.
  constexpr size_t kFew = size_t{1} << 14;
  std::vector<uint32_t> magnitudes;
  if (!candidates.empty()) {
    magnitudes.reserve(candidates.size());
    for (const uint64_t position : candidates) {
      magnitudes.push_back(MagnitudeBits(values[position]));
    }
  } else if (values.size() <= kFew) {
    magnitudes.reserve(values.size());
    for (const float value : values) magnitudes.push_back(MagnitudeBits(value));
  } else {
    return ThresholdByCounting(values, k);
  }
  return KthOf(std::move(magnitudes), k);
}

}  // namespace

MagnitudeThreshold FindThreshold(std::span<const float> values, uint64_t k) {
  return ThresholdOf(values, Candidates(values, k), k);
}

std::vector<uint64_t> LargestMagnitudes(std::span<const float> values, uint64_t k) {
  std::vector<uint64_t> chosen;
  if (k == 0) return chosen;
  const std::vector<uint64_t> candidates = Candidates(values, k);
  const MagnitudeThreshold threshold = ThresholdOf(values, candidates, k);
  const uint32_t least = std::max(threshold.bits, uint32_t{1});  // no zeros
  uint64_t ties = k - threshold.above;
  chosen.reserve(k);
  const auto choose = [&](uint64_t position) {
    const uint32_t bits = MagnitudeBits(values[position]);
    if (bits < least || (bits == threshold.bits && ties == 0)) return true;
    if (bits == threshold.bits) --ties;
    chosen.push_back(position);
    return chosen.size() < k;
  };
  if (candidates.empty()) {
    ForEachWithin(values, least, kMostFinite, choose);
  } else {
    for (const uint64_t position : candidates) {
      if (!choose(position)) break;
    }
  }
  return chosen;
}

}  // namespace fedwatt
#endif
