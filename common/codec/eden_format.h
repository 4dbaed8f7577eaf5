#pragma once

// The framing of an `eden` encoding, little-endian:
//
//   mode             1 byte   1 uniform, 2 lloyd_max
//   bits             1 byte   lloyd_max: 1 to 8; uniform: 0
//   slots_per_stream 1 byte   1 to 16
//   seed             16 bytes key and stream of the rotation's Philox generator
//   scales           float32 for each piece (eden_layout.h), 0 to 2^100; 0: the piece is zero
//   streams          ceil(slots / slots_per_stream) of them (eden_stream.h)
//
// Piece p decodes to scale[p] * R_p^-1 Q_p, cropped to its size.

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "common/codec/eden_stream.h"
#include "common/codec/rotation.h"

namespace fedwatt {

inline constexpr size_t kEdenHeaderBytes = 19;

// What the sums of a hostile encoding can reach stays finite: 2^100 times 2^15 a symbol, times
// 2^8, the root of a piece.
inline constexpr float kMaxEdenScale = 0x1p100f;

struct EdenHeader {
  EdenMode mode = EdenMode::kUniform;
  int bits = 0;
  uint64_t slots_per_stream = 1;
  RotationSeed seed;
};

void AppendEdenHeader(const EdenHeader& header, std::string* out);

// Moves *bytes behind the header.
absl::StatusOr<EdenHeader> TakeEdenHeader(std::span<const uint8_t>* bytes);

}  // namespace fedwatt
