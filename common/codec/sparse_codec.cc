#include "common/codec/sparse_codec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/varint.h"

namespace fedwatt {
namespace {

constexpr double kMinFraction = 1e-6;

// The t that a Gaussian's magnitude exceeds with this probability.
double TailQuantile(double fraction) {
  double low = 0;
  double high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(middle / std::numbers::sqrt2) > fraction ? low : high) = middle;
  }
  return low;
}

}  // namespace

absl::StatusOr<double> FractionOf(const CodecSpec& spec) {
  CodecParams params(spec);
  FW_ASSIGN_OR_RETURN(const double fraction,
                      params.Number("fraction", kDefaultFraction, kMinFraction, 1));
  FW_RETURN_IF_ERROR(params.Finish());
  return fraction;
}

CodecSpec FractionSpec(const std::string& name, double fraction) {
  char digits[32];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), fraction).ptr;
  return {name, {{"fraction", std::string(digits, end)}}};
}

uint64_t CoordinatesKept(double fraction, uint64_t coordinates) {
  // 0.07 * 100 is a little above 7 in doubles and must not become 8.
  constexpr double kSlack = 1 - 1e-12;
  const double kept = std::ceil(fraction * static_cast<double>(coordinates) * kSlack);
  if (kept >= static_cast<double>(coordinates)) return coordinates;
  return std::max<uint64_t>(1, static_cast<uint64_t>(kept));
}

GaussianTail TailOf(double fraction) {
  const double t = TailQuantile(fraction);
  const double density = std::exp(-t * t / 2) / std::sqrt(2 * std::numbers::pi);
  // Rice codes of geometric gaps: the low bits, and on average 1 / (1 - (1 - p)^(2^b)) for the
  // rest.
  const int bits = RiceBits(static_cast<uint64_t>(fraction * 0x1p40), uint64_t{1} << 40);
  const double same = std::pow(1 - fraction, std::ldexp(1.0, bits));
  return {fraction + 2 * t * density, 2 * density / fraction, bits + 1 / (1 - same)};
}

uint64_t MaxPositionBytes(double fraction, uint64_t coordinates, uint64_t extra_bits_each) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  const uint64_t kept = CoordinatesKept(fraction, coordinates);
  const uint64_t bits = MaxGapBits(kept, coordinates);
  if (kept > (kMax - 128) / (extra_bits_each + 1) - 1) return kMax;
  const uint64_t extra = kept * extra_bits_each;
  if (bits > kMax - 128 - extra) return kMax;
  return (bits + extra) / 8 + 1 + 2 * kMaxVarintBytes + 1;
}

void AppendSparseHeader(const SparseHeader& header, std::string* out) {
  AppendVarint(header.coordinates, out);
  AppendVarint(header.count, out);
  out->push_back(static_cast<char>(header.rice_bits));
}

absl::StatusOr<SparseHeader> TakeSparseHeader(const std::string& codec, uint64_t coordinates,
                                              uint64_t extra_bits_each,
                                              std::span<const uint8_t>* bytes) {
  const auto refuse = [&codec](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat(codec, ": ", why));
  };
  const auto encoded_coordinates = TakeVarint(bytes);
  const auto count = encoded_coordinates.ok() ? TakeVarint(bytes) : encoded_coordinates;
  if (!count.ok() || bytes->empty()) return refuse("the header is cut off");
  const SparseHeader header = {*encoded_coordinates, *count, (*bytes)[0]};
  *bytes = bytes->subspan(1);
  if (header.coordinates != coordinates) {
    return refuse(
        absl::StrCat("an encoding of ", header.coordinates, " coordinates, not of ", coordinates));
  }
  if (header.rice_bits > kMaxRiceBits) {
    return refuse(absl::StrCat("Rice parameter ", header.rice_bits, " is above ", kMaxRiceBits));
  }
  const uint64_t each = static_cast<uint64_t>(header.rice_bits) + 1 + extra_bits_each;
  if (header.count > coordinates || header.count > bytes->size() * 8 / each) {
    return refuse(absl::StrCat(header.count, " values of ", coordinates, " coordinates in ",
                               bytes->size(), " bytes cannot be"));
  }
  return header;
}

absl::Status SparseDecoder::Advance(Cursor* cursor) const {
  if (cursor->taken < count_) {
    FW_ASSIGN_OR_RETURN(cursor->position, cursor->gaps.Next());
    FW_ASSIGN_OR_RETURN(cursor->value, Value(cursor->taken, &cursor->gaps));
    ++cursor->taken;
    return cursor->taken < count_ ? absl::OkStatus() : cursor->gaps.Finish();
  }
  cursor->position = coordinates();
  return cursor->gaps.Finish();
}

absl::Status SparseDecoder::Fail(const absl::Status& why) {
  started_ = false;
  return absl::InvalidArgumentError(absl::StrCat(codec_, ": ", std::string(why.message())));
}

absl::Status SparseDecoder::Read(uint64_t begin, std::span<float> out) {
  FW_RETURN_IF_ERROR(CheckRange(begin, out.size()));
  std::fill(out.begin(), out.end(), 0.0f);
  if (!started_ || begin < next_) {
    cursor_ = start_;
    if (const absl::Status first = Advance(&cursor_); !first.ok()) return Fail(first);
    started_ = true;
  }
  next_ = begin + out.size();
  while (cursor_.position < next_) {
    if (cursor_.position >= begin) out[cursor_.position - begin] = cursor_.value;
    if (const absl::Status next = Advance(&cursor_); !next.ok()) return Fail(next);
  }
  return absl::OkStatus();
}

absl::StatusOr<F32Stats> SparseDecoder::Scan() {
  F32Stats stats;
  std::array<double, F32Scanner::kLanes> squares{};
  Cursor cursor = start_;
  for (uint64_t i = 0; i <= count_; ++i) {
    if (const absl::Status next = Advance(&cursor); !next.ok()) return Fail(next);
    if (i == count_) break;
    stats.max_abs = std::max(stats.max_abs, std::fabs(cursor.value));
    squares[cursor.position % squares.size()] +=
        static_cast<double>(cursor.value) * static_cast<double>(cursor.value);
  }
  for (const double partial : squares) stats.sum_squares += partial;
  return stats;
}

}  // namespace fedwatt
