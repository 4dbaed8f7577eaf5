#include "common/codec/symbol_plan.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "common/codec/symbol_kernels.h"

namespace fedwatt {
namespace {

constexpr size_t kSample = 32 * 1024;
constexpr size_t kChunk = 256;
constexpr size_t kFewestForCoding = 48;    // the coder's own states take 16 bytes
constexpr double kCoderTotal = 4096;       // to which rANS4x16 scales its frequencies
constexpr double kTableBits = 12;          // of its table, for each high part that occurs
constexpr double kWideFromBytes = 56'000;  // where 112 more bytes of coder states are 0.2 %

// To 2e-5, of x > 0: the exponent, and the series of the inverse hyperbolic tangent for the rest.
double Log2(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  const double exponent = static_cast<double>(bits >> 52) - 1023;
  const auto mantissa = std::bit_cast<double>((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  const double t = (mantissa - 1) / (mantissa + 1);
  const double t2 = t * t;
  constexpr double kTwoByLn2 = 2.8853900817779268;
  return exponent + kTwoByLn2 * t * (1 + t2 * (1.0 / 3 + t2 * (1.0 / 5 + t2 * (1.0 / 7))));
}

// Chunks from all over, since layers of a model differ.
std::vector<int16_t> SampleOf(std::span<const int16_t> symbols) {
  if (symbols.size() <= kSample) return {symbols.begin(), symbols.end()};
  constexpr size_t kChunks = kSample / kChunk;
  std::vector<int16_t> sample;
  sample.reserve(kSample);
  for (size_t chunk = 0; chunk < kChunks; ++chunk) {
    const size_t begin = chunk * (symbols.size() - kChunk) / (kChunks - 1);
    sample.insert(sample.end(), symbols.begin() + static_cast<ptrdiff_t>(begin),
                  symbols.begin() + static_cast<ptrdiff_t>(begin + kChunk));
  }
  return sample;
}

struct Counts {
  int first = 0;  // high part of count[0]
  std::vector<uint32_t> count;
};

Counts CountSymbols(std::span<const int16_t> sample) {
  const auto [min, max] = SymbolRangeKernel(sample.data(), sample.size());
  Counts counts{min, std::vector<uint32_t>(static_cast<size_t>(max - min) + 1)};
  for (const int16_t symbol : sample) ++counts.count[static_cast<size_t>(symbol - min)];
  return counts;
}

// Of the high parts when one more bit goes.
Counts Halved(const Counts& counts) {
  Counts half{counts.first >> 1, {}};
  const auto odd = static_cast<size_t>(counts.first & 1);
  half.count.resize((counts.count.size() + odd + 1) / 2);
  for (size_t i = 0; i < counts.count.size(); ++i) half.count[(i + odd) / 2] += counts.count[i];
  return half;
}

// The window of kHighParts that holds most of the sample, in the middle of the slack if it holds
// all: the symbols that were not sampled may reach further.
int BestBase(const Counts& counts, int shift) {
  const int size = static_cast<int>(counts.count.size());
  int begin = (size - kHighParts) / 2;
  if (size > kHighParts) {
    uint64_t mass = 0;
    uint64_t most = 0;
    for (int i = 0; i < size; ++i) {
      mass += counts.count[static_cast<size_t>(i)];
      if (i >= kHighParts) mass -= counts.count[static_cast<size_t>(i - kHighParts)];
      if (mass > most) {
        most = mass;
        begin = std::max(0, i - kHighParts + 1);
      }
    }
  }
  const int least = INT16_MIN >> shift;
  const int greatest = std::max(least, (INT16_MAX >> shift) - kHighParts + 1);
  return std::clamp(counts.first + begin, least, greatest);
}

struct Cost {
  double per_symbol = 0;  // bits
  double fixed = 0;       // bits, once
};

// Of the varint behind the stream.
int EscapeBits(int distance) { return distance < 64 ? 8 : distance < 8192 ? 16 : 24; }

// The coder gives no high part less than 1 / kCoderTotal, which the others pay for.
Cost CostOf(const Counts& counts, int base, int shift, double total) {
  Cost cost;
  double bits = 0;
  double scaled = 0;
  const auto add = [&](double count) {
    const double share = std::max(count / total, 1 / kCoderTotal);
    bits -= count * Log2(share);
    scaled += share;
    cost.fixed += kTableBits;
  };
  double escapes = 0;
  for (size_t i = 0; i < counts.count.size(); ++i) {
    const double count = counts.count[i];
    if (count == 0) continue;
    const int offset = counts.first + static_cast<int>(i) - base;
    if (offset >= 0 && offset < kHighParts) {
      add(count);
    } else {
      escapes += count;
      bits += count * EscapeBits(offset < 0 ? -offset : offset - kHighParts);
    }
  }
  if (escapes > 0) add(escapes);
  cost.per_symbol = bits / total + Log2(scaled) + shift;
  return cost;
}

}  // namespace

SymbolPlan RawSymbolPlan(std::span<const int16_t> symbols) {
  if (symbols.empty()) return {};
  const auto [min, max] = SymbolRangeKernel(symbols.data(), symbols.size());
  const auto width = static_cast<int>(std::bit_width(static_cast<uint32_t>(max - min)));
  return {.coded = false, .shift = width, .base = min, .wide = false};
}

SymbolPlan ChooseSymbolPlan(std::span<const int16_t> symbols) {
  SymbolPlan best = RawSymbolPlan(symbols);
  if (symbols.size() < kFewestForCoding || best.shift == 0) return best;
  const auto count = static_cast<double>(symbols.size());
  const std::vector<int16_t> sample = SampleOf(symbols);
  double least = best.shift * count;
  Counts counts = CountSymbols(sample);
  for (int shift = 0; shift < kMaxSymbolBits; ++shift) {
    if (shift > 0) counts = Halved(counts);
    const int base = BestBase(counts, shift);
    const Cost cost = CostOf(counts, base, shift, static_cast<double>(sample.size()));
    const double bits = cost.per_symbol * count + cost.fixed;
    if (bits < least) {
      least = bits;
      best = {.coded = true, .shift = shift, .base = base, .wide = bits >= 8 * kWideFromBytes};
    }
    if (counts.count.size() <= 2) break;
  }
  return best;
}

}  // namespace fedwatt
