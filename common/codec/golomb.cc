#include "common/codec/golomb.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace fedwatt {
namespace {

constexpr double kGoldenRatioLess1 = 0.61803398874989485;
constexpr int kFullWindow = 56;  // what a refill by whole bytes guarantees

absl::Status CutOff() { return absl::InvalidArgumentError("the positions end too early"); }

uint64_t LowBits(uint64_t value, int count) { return value & ((uint64_t{1} << count) - 1); }

}  // namespace

int RiceBits(uint64_t count, uint64_t coordinates) {
  if (count == 0 || coordinates == 0) return 0;
  // b is the greatest with (1 - p)^(2^(b - 1)) >= phi - 1: squaring needs no logarithm, whose last
  // bit would depend on libm.
  double power = 1 - static_cast<double>(count) / static_cast<double>(coordinates);
  int bits = 0;
  for (; power >= kGoldenRatioLess1 && bits < kMaxRiceBits; power *= power) ++bits;
  return bits;
}

uint64_t MaxGapBits(uint64_t count, uint64_t coordinates) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  const auto all = static_cast<double>(coordinates);
  uint64_t most = 0;
  // RiceBits gives `bits` if the part left out is from `least_left` to `most_left`.
  double least_left = 0;
  for (int bits = 0; bits <= kMaxRiceBits; ++bits) {
    const double most_left = bits == 0             ? kGoldenRatioLess1
                             : bits < kMaxRiceBits ? std::sqrt(least_left)
                                                   : 1;
    const double fewest = all * (1 - most_left) - 1;
    const double limit = all * (1 - least_left) + 1;
    least_left = most_left;
    if (fewest > static_cast<double>(count)) continue;
    const uint64_t gaps = limit < static_cast<double>(count) ? static_cast<uint64_t>(limit) : count;
    const uint64_t each = static_cast<uint64_t>(bits) + 1;
    const uint64_t quotients = coordinates >> bits;
    if (gaps > (kMax - quotients) / each) return kMax;
    most = std::max(most, gaps * each + quotients);
  }
  return most;
}

void GapWriter::Put(uint64_t bits, int count) {
  pending_ |= bits << pending_bits_;
  pending_bits_ += count;
  Flush();
}

void GapWriter::Flush() {
  for (; pending_bits_ >= 8; pending_bits_ -= 8, pending_ >>= 8) {
    out_->push_back(static_cast<char>(pending_));
  }
}

void GapWriter::Add(uint64_t position) {
  const uint64_t gap = position - next_;
  next_ = position + 1;
  uint64_t ones = gap >> rice_bits_;
  for (; ones >= 32; ones -= 32) Put(LowBits(~uint64_t{0}, 32), 32);
  Put(LowBits(~uint64_t{0}, static_cast<int>(ones)), static_cast<int>(ones) + 1);
  Put(LowBits(gap, rice_bits_), rice_bits_);
}

void GapWriter::Finish() {
  if (pending_bits_ > 0) out_->push_back(static_cast<char>(pending_));
  pending_ = 0;
  pending_bits_ = 0;
}

void GapReader::Refill() {
  while (window_bits_ <= kFullWindow && !bytes_.empty()) {
    window_ |= static_cast<uint64_t>(bytes_[0]) << window_bits_;
    window_bits_ += 8;
    bytes_ = bytes_.subspan(1);
  }
}

void GapReader::Drop(int count) {
  window_ = count == 64 ? 0 : window_ >> count;
  window_bits_ -= count;
}

absl::StatusOr<uint64_t> GapReader::Next() {
  const uint64_t room = coordinates_ - next_;
  uint64_t quotient = 0;
  for (;;) {
    Refill();
    const int ones = std::min(std::countr_one(window_), window_bits_);
    quotient += static_cast<uint64_t>(ones);
    if (ones == window_bits_ && bytes_.empty()) return CutOff();
    if (ones < window_bits_) {
      Drop(ones + 1);
      break;
    }
    Drop(ones);
  }
  Refill();
  if (window_bits_ < rice_bits_) return CutOff();
  // The first comparison keeps the shift from overflowing.
  const bool fits = quotient <= room >> rice_bits_;
  const uint64_t gap = quotient << rice_bits_ | LowBits(window_, rice_bits_);
  if (!fits || gap >= room) {
    return absl::InvalidArgumentError("a position lies behind the last coordinate");
  }
  Drop(rice_bits_);
  const uint64_t position = next_ + gap;
  next_ = position + 1;
  return position;
}

absl::StatusOr<bool> GapReader::NextBit() {
  Refill();
  if (window_bits_ < 1) return CutOff();
  const bool bit = (window_ & 1) != 0;
  Drop(1);
  return bit;
}

absl::Status GapReader::Finish() const {
  if (bytes_.empty() && window_bits_ < 8 && window_ == 0) return absl::OkStatus();
  return absl::InvalidArgumentError("bytes are left behind the last position");
}

}  // namespace fedwatt
