#pragma once

// How `eden` cuts a vector into pieces that are rotated each by itself.
//
// Slots of 65536 coordinates; each is one piece, but the last, when it is not full: powers of two
// from the largest down to 256, then what is left, padded with zeros to a power of two, 64 or more.
// (Fewer coordinates cannot be turned so that the decoded vector is unbiased.)

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/codec/rotation.h"

namespace fedwatt {

inline constexpr uint64_t kSlotSize = kMaxRotation;

struct EdenPiece {
  uint64_t index = 0;  // among all pieces of the vector
  uint64_t begin = 0;  // first coordinate
  size_t size = 0;     // coordinates
  size_t padded = 0;   // symbols, a power of two
  size_t offset = 0;   // first symbol, from the slot's first
};

struct EdenSlot {
  std::array<EdenPiece, 9> pieces;  // 2^15 down to 2^8, and the rest
  size_t count = 0;
  size_t symbols = 0;

  const EdenPiece* begin() const { return pieces.data(); }
  const EdenPiece* end() const { return pieces.data() + count; }
};

uint64_t EdenSlots(uint64_t coordinates);
EdenSlot EdenSlotAt(uint64_t coordinates, uint64_t slot);
uint64_t EdenPieces(uint64_t coordinates);

// Symbols of slots [first, first + count), as far as there are such.
uint64_t EdenSymbols(uint64_t coordinates, uint64_t first, uint64_t count);

}  // namespace fedwatt
