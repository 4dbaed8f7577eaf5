// `f16` and `bf16`: each value rounded to nearest even, 2 bytes, little-endian.
//
// f16 has 11 significant bits between 6e-5 and 65504 and fewer down to 6e-8; bf16 has 8 over the
// whole range of float32.

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"
#include "common/codec/half_kernels.h"

namespace fedwatt {
namespace {

struct HalfFormat {
  const char* name;
  double max_abs;  // what does not round to infinity
  double vnmse;    // of Gaussian values
  void (*encode)(std::span<const float> in, uint16_t* out);
  void (*decode)(std::span<const uint16_t> in, float* out);
};

constexpr HalfFormat kF16 = {"f16", 65504, 4.32e-8, F32ToF16, F16ToF32};
constexpr HalfFormat kBF16 = {"bf16", 0x1.fep127, 2.75e-6, F32ToBF16, BF16ToF32};

class HalfDecoder final : public Decoder {
 public:
  HalfDecoder(const HalfFormat& format, std::span<const uint8_t> encoded, uint64_t coordinates)
      : Decoder(coordinates), format_(format), encoded_(encoded) {}

  absl::Status Read(uint64_t begin, std::span<float> out) override {
    FW_RETURN_IF_ERROR(CheckRange(begin, out.size()));
    // Through a copy: the encoding need not be aligned.
    uint16_t block[1024];
    for (size_t done = 0; done < out.size();) {
      const size_t count = std::min(out.size() - done, std::size(block));
      std::memcpy(block, encoded_.data() + (begin + done) * sizeof(uint16_t),
                  count * sizeof(uint16_t));
      format_.decode(std::span(block, count), out.data() + done);
      done += count;
    }
    return absl::OkStatus();
  }

 private:
  const HalfFormat& format_;
  const std::span<const uint8_t> encoded_;
};

class HalfCodec final : public Codec {
 public:
  explicit HalfCodec(const HalfFormat& format) : format_(format) {}

  CodecSpec spec() const override { return {format_.name, {}}; }
  CodecQuality quality() const override { return {16, format_.vnmse}; }

  uint64_t MaxEncodedBytes(uint64_t coordinates) const override {
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    return coordinates > kMax / sizeof(uint16_t) ? kMax : coordinates * sizeof(uint16_t);
  }

  absl::Status Encode(std::span<const float> values, const CodecContext&,
                      std::string* out) const override {
    FW_RETURN_IF_ERROR(CheckEncodable(format_.name, values, format_.max_abs));
    out->resize(values.size() * sizeof(uint16_t));
    uint16_t block[1024];
    for (size_t done = 0; done < values.size();) {
      const size_t count = std::min(values.size() - done, std::size(block));
      format_.encode(values.subspan(done, count), block);
      std::memcpy(out->data() + done * sizeof(uint16_t), block, count * sizeof(uint16_t));
      done += count;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override {
    if (encoded.size() % sizeof(uint16_t) != 0 ||
        encoded.size() / sizeof(uint16_t) != coordinates) {
      return absl::InvalidArgumentError(absl::StrCat(format_.name, ": ", encoded.size(),
                                                     " bytes for ", coordinates,
                                                     " coordinates; 2 bytes each are expected"));
    }
    return std::make_unique<HalfDecoder>(format_, encoded, coordinates);
  }

 private:
  const HalfFormat& format_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakeF16Codec(const CodecSpec& spec) {
  FW_RETURN_IF_ERROR(CodecParams(spec).Finish());
  return std::make_unique<HalfCodec>(kF16);
}

absl::StatusOr<std::unique_ptr<Codec>> MakeBF16Codec(const CodecSpec& spec) {
  FW_RETURN_IF_ERROR(CodecParams(spec).Finish());
  return std::make_unique<HalfCodec>(kBF16);
}

}  // namespace fedwatt
