// `raw_f32`: the values as they are, little-endian. NaN and infinities pass: who decodes validates.

#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"

namespace fedwatt {
namespace {

class RawDecoder final : public Decoder {
 public:
  RawDecoder(std::span<const uint8_t> encoded, uint64_t coordinates)
      : Decoder(coordinates), encoded_(encoded) {}

  absl::Status Read(uint64_t begin, std::span<float> out) override {
    FW_RETURN_IF_ERROR(CheckRange(begin, out.size()));
    if (!out.empty()) {
      std::memcpy(out.data(), encoded_.data() + begin * sizeof(float), out.size_bytes());
    }
    return absl::OkStatus();
  }

 private:
  const std::span<const uint8_t> encoded_;
};

class RawF32Codec final : public Codec {
 public:
  CodecSpec spec() const override { return {"raw_f32", {}}; }
  CodecQuality quality() const override { return {32, 0}; }

  uint64_t MaxEncodedBytes(uint64_t coordinates) const override {
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    return coordinates > kMax / sizeof(float) ? kMax : coordinates * sizeof(float);
  }

  absl::Status Encode(std::span<const float> values, const CodecContext&,
                      std::string* out) const override {
    out->assign(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override {
    if (encoded.size() % sizeof(float) != 0 || encoded.size() / sizeof(float) != coordinates) {
      return absl::InvalidArgumentError(absl::StrCat("raw_f32: ", encoded.size(), " bytes for ",
                                                     coordinates,
                                                     " coordinates; 4 bytes each are expected"));
    }
    return std::make_unique<RawDecoder>(encoded, coordinates);
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakeRawF32Codec(const CodecSpec& spec) {
  FW_RETURN_IF_ERROR(CodecParams(spec).Finish());
  return std::make_unique<RawF32Codec>();
}

}  // namespace fedwatt
