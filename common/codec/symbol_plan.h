#pragma once

// How symbol_coder.h stores a stream: the choice alone. Any plan whose base is in range can be
// read, so this part may become cleverer without a new format.

#include <cstdint>
#include <span>

namespace fedwatt {

inline constexpr int kMaxSymbolBits = 16;
// High parts that the alphabet names; the 256th byte is the escape.
inline constexpr int kHighParts = 255;

struct SymbolPlan {
  // false: (symbol - base) in `shift` bits. true: (symbol >> shift) - base by rANS, and the low
  // `shift` bits as they are.
  bool coded = false;
  int shift = 0;
  int base = 0;
  bool wide = false;  // 32 interleaved coder states instead of 4

  friend bool operator==(const SymbolPlan&, const SymbolPlan&) = default;
};

// What needs no more than a scan: base = the least symbol.
SymbolPlan RawSymbolPlan(std::span<const int16_t> symbols);

// The shift and the alphabet of the smallest stream, estimated from a sample of the symbols. No
// libm function is asked, so every machine chooses alike.
SymbolPlan ChooseSymbolPlan(std::span<const int16_t> symbols);

}  // namespace fedwatt
