#pragma once

// The loops of symbol_coder.h, for the best instruction set at hand; all give the same bits.

#include <cstddef>
#include <cstdint>

namespace fedwatt {

struct SymbolRange {
  int16_t min = 0;
  int16_t max = 0;
};

// n >= 1.
SymbolRange SymbolRangeKernel(const int16_t* symbols, size_t n);

// bytes[i] = min((symbols[i] >> shift) - base, 255), and 255 too where that is below 0.
void HighPartKernel(const int16_t* symbols, int shift, int base, uint8_t* bytes, size_t n);

// symbols[i] = (bytes[i] + base) << shift. `bytes` may be the upper half of `symbols`' own memory.
void FromHighPartKernel(const uint8_t* bytes, int shift, int base, int16_t* symbols, size_t n);

}  // namespace fedwatt
