#pragma once

// Rising positions as Golomb-Rice coded gaps, each with one bit of payload where wanted.
//
// The gap of a position is what lies between it and the one before (before the first: -1). A gap g
// with parameter b is g >> b ones, a zero, then the low b bits of g; all bits low end first, from
// the low end of each byte; the last byte is filled up with zeros.

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fedwatt {

inline constexpr int kMaxRiceBits = 40;

// The best parameter for `count` positions spread at random over `coordinates`: Sattler et al.
// (2019), b = 1 + floor(log2(ln(phi - 1) / ln(1 - p))) with p = count / coordinates and the golden
// ratio phi; 0 for p close to 1. 0 <= count <= coordinates.
int RiceBits(uint64_t count, uint64_t coordinates);

// The most bits that the gaps of `count` or fewer positions take, each number with its RiceBits.
// Saturates.
uint64_t MaxGapBits(uint64_t count, uint64_t coordinates);

// Appends gaps to a string. Add for each position, then Finish.
class GapWriter {
 public:
  GapWriter(int rice_bits, std::string* out) : rice_bits_(rice_bits), out_(out) {}

  // Beyond the one before.
  void Add(uint64_t position);
  void AddBit(bool bit) { Put(bit ? 1 : 0, 1); }
  void Finish();

 private:
  void Put(uint64_t bits, int count);  // at most 56
  void Flush();

  const int rice_bits_;
  std::string* const out_;
  uint64_t next_ = 0;  // behind the last position
  uint64_t pending_ = 0;
  int pending_bits_ = 0;
};

// Reads what GapWriter wrote. A value: a copy goes on from the same place. All errors are
// INVALID_ARGUMENT.
class GapReader {
 public:
  GapReader(std::span<const uint8_t> bytes, int rice_bits, uint64_t coordinates)
      : bytes_(bytes), rice_bits_(rice_bits), coordinates_(coordinates) {}

  // The next position, below `coordinates`.
  absl::StatusOr<uint64_t> Next();
  absl::StatusOr<bool> NextBit();
  // After the last: that only zeros fill up the last byte.
  absl::Status Finish() const;

 private:
  void Refill();
  void Drop(int count);

  std::span<const uint8_t> bytes_;
  int rice_bits_;
  uint64_t coordinates_;
  uint64_t next_ = 0;
  uint64_t window_ = 0;
  int window_bits_ = 0;
};

}  // namespace fedwatt
