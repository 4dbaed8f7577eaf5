// `stc`, sparse ternary compression (Sattler, Wiedemann, Mueller, Samek: "Robust and
// communication-efficient federated learning from non-IID data", 2019): the coordinates of greatest
// magnitude by their sign alone, all with their mean magnitude.

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"
#include "common/codec/sparse_codec.h"
#include "common/codec/threshold.h"

namespace fedwatt {
namespace {

constexpr char kName[] = "stc";
constexpr uint64_t kSignBits = 1;

class StcDecoder final : public SparseDecoder {
 public:
  StcDecoder(uint64_t coordinates, uint64_t count, float magnitude, const GapReader& gaps)
      : SparseDecoder(kName, coordinates, count, gaps), magnitude_(magnitude) {}

 private:
  absl::StatusOr<float> Value(uint64_t, GapReader* gaps) const override {
    FW_ASSIGN_OR_RETURN(const bool negative, gaps->NextBit());
    return negative ? -magnitude_ : magnitude_;
  }

  const float magnitude_;
};

class StcCodec final : public Codec {
 public:
  explicit StcCodec(double fraction) : fraction_(fraction) {}

  CodecSpec spec() const override { return FractionSpec(kName, fraction_); }
  bool needs_error_feedback() const override { return true; }

  CodecQuality quality() const override {
    const GaussianTail tail = TailOf(fraction_);
    return {fraction_ * (kSignBits + tail.position_bits), 1 - fraction_ * tail.mean * tail.mean};
  }

  uint64_t MaxEncodedBytes(uint64_t coordinates) const override {
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    const uint64_t positions = MaxPositionBytes(fraction_, coordinates, kSignBits);
    return positions > kMax - sizeof(float) ? kMax : positions + sizeof(float);
  }

  absl::Status Encode(std::span<const float> values, const CodecContext&,
                      std::string* out) const override {
    FW_RETURN_IF_ERROR(CheckEncodable(kName, values, std::numeric_limits<float>::max()));
    const std::vector<uint64_t> positions =
        LargestMagnitudes(values, CoordinatesKept(fraction_, values.size()));
    const SparseHeader header = {values.size(), positions.size(),
                                 RiceBits(positions.size(), values.size())};
    double sum = 0;
    for (const uint64_t position : positions) sum += std::fabs(values[position]);
    const auto mean =
        static_cast<float>(positions.empty() ? 0 : sum / static_cast<double>(positions.size()));
    out->clear();
    AppendSparseHeader(header, out);
    out->append(reinterpret_cast<const char*>(&mean), sizeof(mean));
    GapWriter gaps(header.rice_bits, out);
    for (const uint64_t position : positions) {
      gaps.Add(position);
      gaps.AddBit(std::signbit(values[position]));
    }
    gaps.Finish();
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override {
    FW_ASSIGN_OR_RETURN(const SparseHeader header,
                        TakeSparseHeader(kName, coordinates, kSignBits, &encoded));
    float magnitude = 0;
    if (encoded.size() < sizeof(magnitude)) {
      return absl::InvalidArgumentError(absl::StrCat(kName, ": the magnitude is cut off"));
    }
    std::memcpy(&magnitude, encoded.data(), sizeof(magnitude));
    const bool valid = header.count == 0 ? std::bit_cast<uint32_t>(magnitude) == 0
                                         : std::isfinite(magnitude) && magnitude > 0;
    if (!valid) {
      return absl::InvalidArgumentError(absl::StrCat(kName, ": magnitude ", magnitude, " of ",
                                                     header.count, " values cannot be"));
    }
    const GapReader gaps(encoded.subspan(sizeof(magnitude)), header.rice_bits, coordinates);
    return std::make_unique<StcDecoder>(coordinates, header.count, magnitude, gaps);
  }

 private:
  const double fraction_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakeStcCodec(const CodecSpec& spec) {
  FW_ASSIGN_OR_RETURN(const double fraction, FractionOf(spec));
  return std::make_unique<StcCodec>(fraction);
}

}  // namespace fedwatt
