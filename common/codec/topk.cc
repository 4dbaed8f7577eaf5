// `topk`: the values of greatest magnitude, each as a float16 times a power of two.
//
// That power puts the largest magnitude between 2^14 and 2^15, so that all within a factor of 2^28
// of it keep 11 significant bits; a float32 would add 16 bits to about 25 for a value whose
// rounding error, 2^-12 of it at most, error feedback sends later anyway.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"
#include "common/codec/sparse_codec.h"
#include "common/codec/threshold.h"
#include "common/tensor/half_float.h"

namespace fedwatt {
namespace {

constexpr char kName[] = "topk";
constexpr size_t kValueBytes = sizeof(uint16_t);

constexpr double kRoundingError = 4.31e-8;  // of Gaussian values in float16, squared and relative

// Exponents of the power of two: below, it would not be a normal float32; above, no float32 needs.
constexpr int kExponentBias = 127;  // as in float32
constexpr int kMinExponent = -126;
constexpr int kMaxExponent = 127 - 14;
// The greatest float16 below 2^15: what rounds up to that would be beyond float32 at kMaxExponent.
constexpr uint16_t kMaxMagnitude = 0x77ff;

float PowerOfTwo(int exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(exponent + kExponentBias) << 23);
}

class TopKDecoder final : public SparseDecoder {
 public:
  TopKDecoder(uint64_t coordinates, uint64_t count, int exponent, std::span<const uint8_t> values,
              const GapReader& gaps)
      : SparseDecoder(kName, coordinates, count, gaps),
        scale_(PowerOfTwo(exponent)),
        values_(values) {}

 private:
  absl::StatusOr<float> Value(uint64_t index, GapReader*) const override {
    uint16_t bits;
    std::memcpy(&bits, values_.data() + index * kValueBytes, kValueBytes);
    if ((bits & 0x7fff) > kMaxMagnitude) return absl::InvalidArgumentError("a value is too large");
    return F16ToF32(bits) * scale_;
  }

  const float scale_;
  const std::span<const uint8_t> values_;
};

class TopKCodec final : public Codec {
 public:
  explicit TopKCodec(double fraction) : fraction_(fraction) {}

  CodecSpec spec() const override { return FractionSpec(kName, fraction_); }
  bool needs_error_feedback() const override { return true; }

  CodecQuality quality() const override {
    const GaussianTail tail = TailOf(fraction_);
    return {fraction_ * (8 * kValueBytes + tail.position_bits),
            1 - tail.energy + tail.energy * kRoundingError};
  }

  uint64_t MaxEncodedBytes(uint64_t coordinates) const override {
    const uint64_t positions = MaxPositionBytes(fraction_, coordinates, 8 * kValueBytes);
    return positions == std::numeric_limits<uint64_t>::max() ? positions : positions + 1;
  }

  absl::Status Encode(std::span<const float> values, const CodecContext&,
                      std::string* out) const override {
    FW_RETURN_IF_ERROR(CheckEncodable(kName, values, std::numeric_limits<float>::max()));
    const std::vector<uint64_t> positions =
        LargestMagnitudes(values, CoordinatesKept(fraction_, values.size()));
    const SparseHeader header = {values.size(), positions.size(),
                                 RiceBits(positions.size(), values.size())};
    out->clear();
    AppendSparseHeader(header, out);
    AppendValues(values, positions, out);
    GapWriter gaps(header.rice_bits, out);
    for (const uint64_t position : positions) gaps.Add(position);
    gaps.Finish();
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override {
    FW_ASSIGN_OR_RETURN(const SparseHeader header,
                        TakeSparseHeader(kName, coordinates, 8 * kValueBytes, &encoded));
    const uint64_t value_bytes = header.count * kValueBytes;
    if (encoded.size() < 1 + value_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(kName, ": the values are cut off"));
    }
    const int exponent = int{encoded[0]} - kExponentBias;
    if (exponent < kMinExponent || exponent > kMaxExponent) {
      return absl::InvalidArgumentError(absl::StrCat(
          kName, ": exponent ", exponent, " is not within ", kMinExponent, " to ", kMaxExponent));
    }
    const GapReader gaps(encoded.subspan(1 + value_bytes), header.rice_bits, coordinates);
    return std::make_unique<TopKDecoder>(coordinates, header.count, exponent,
                                         encoded.subspan(1, value_bytes), gaps);
  }

 private:
  static void AppendValues(std::span<const float> values, std::span<const uint64_t> positions,
                           std::string* out) {
    float max = 0;
    for (const uint64_t position : positions) max = std::max(max, std::fabs(values[position]));
    const int exponent = max > 0 ? std::max(kMinExponent, std::ilogb(max) - 14) : 0;
    const float inverse = PowerOfTwo(-exponent);
    out->push_back(static_cast<char>(exponent + kExponentBias));
    for (const uint64_t position : positions) {
      const uint16_t bits = F32ToF16(values[position] * inverse);
      const uint16_t magnitude = std::min<uint16_t>(bits & 0x7fff, kMaxMagnitude);
      const uint16_t kept = (bits & 0x8000) | magnitude;
      out->append(reinterpret_cast<const char*>(&kept), kValueBytes);
    }
  }

  const double fraction_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakeTopKCodec(const CodecSpec& spec) {
  FW_ASSIGN_OR_RETURN(const double fraction, FractionOf(spec));
  return std::make_unique<TopKCodec>(fraction);
}

}  // namespace fedwatt
