#include "common/codec/eden_layout.h"

#include <algorithm>
#include <bit>

namespace fedwatt {
namespace {

constexpr size_t kLeastWholePiece = 256;
constexpr size_t kLeastPadded = 64;

}  // namespace

uint64_t EdenSlots(uint64_t coordinates) {
  return coordinates / kSlotSize + (coordinates % kSlotSize != 0 ? 1 : 0);
}

EdenSlot EdenSlotAt(uint64_t coordinates, uint64_t slot) {
  EdenSlot result;
  const uint64_t first = slot * kSlotSize;
  size_t left = static_cast<size_t>(std::min(kSlotSize, coordinates - first));
  while (left > 0) {
    const bool whole = left >= kLeastWholePiece;
    const size_t size = whole ? std::bit_floor(left) : left;
    const size_t padded = whole ? size : std::max(kLeastPadded, std::bit_ceil(left));
    // A slot before the last has one piece, so pieces and slots count alike up to here.
    result.pieces[result.count] = {slot + result.count, first + result.symbols, size, padded,
                                   result.symbols};
    ++result.count;
    result.symbols += padded;
    left -= size;
  }
  return result;
}

uint64_t EdenPieces(uint64_t coordinates) {
  const uint64_t whole = coordinates / kSlotSize;
  return coordinates % kSlotSize == 0 ? whole : whole + EdenSlotAt(coordinates, whole).count;
}

uint64_t EdenSymbols(uint64_t coordinates, uint64_t first, uint64_t count) {
  const uint64_t slots = EdenSlots(coordinates);
  if (first >= slots || count == 0) return 0;
  const uint64_t last = std::min(slots - first, count) + first - 1;
  return (last - first) * kSlotSize + EdenSlotAt(coordinates, last).symbols;
}

}  // namespace fedwatt
