#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/codec/codec.h"

namespace fedwatt {
namespace {

// The values as they are, little-endian. NaN and infinities pass: who decodes validates.
class RawF32Codec final : public Codec {
 public:
  std::string name() const override { return "raw_f32"; }

  uint64_t MaxEncodedBytes(uint64_t coordinates) const override {
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    return coordinates > kMax / sizeof(float) ? kMax : coordinates * sizeof(float);
  }

  absl::Status Encode(std::span<const float> values, const CodecContext&,
                      std::string* out) const override {
    out->assign(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    return absl::OkStatus();
  }

  absl::Status DecodeBlock(std::span<const uint8_t> encoded, uint64_t coordinates,
                           const CodecContext&, uint64_t begin,
                           std::span<float> out) const override {
    if (encoded.size() % sizeof(float) != 0 || encoded.size() / sizeof(float) != coordinates) {
      return absl::InvalidArgumentError(absl::StrCat("raw_f32: ", encoded.size(), " bytes for ",
                                                     coordinates,
                                                     " coordinates; 4 bytes each are expected"));
    }
    if (begin > coordinates || out.size() > coordinates - begin) {
      return absl::InvalidArgumentError(absl::StrCat("raw_f32: coordinates ", begin, " to ",
                                                     begin + out.size(), " of ", coordinates,
                                                     " do not exist"));
    }
    if (!out.empty()) {
      std::memcpy(out.data(), encoded.data() + begin * sizeof(float), out.size_bytes());
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Codec> MakeRawF32Codec() { return std::make_unique<RawF32Codec>(); }

}  // namespace fedwatt
