#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"

namespace fedwatt::testing {

// A codec that is not in the registry: every value is stored halved. It is scanned without Read,
// and counts both; its scan may give an upper bound of the greatest value.
class HalvingCodec final : public Codec {
 public:
  struct Counts {
    int scans = 0;
    int reads = 0;
  };
  const std::shared_ptr<Counts> counts = std::make_shared<Counts>();
  float max_abs_factor = 1;

  CodecSpec spec() const override { return {"halving", {}}; }
  CodecQuality quality() const override { return {32, 0}; }
  uint64_t MaxEncodedBytes(uint64_t coordinates) const override { return coordinates * 4; }

  absl::Status Encode(std::span<const float> values, const CodecContext&,
                      std::string* out) const override {
    out->clear();
    for (float value : values) {
      value /= 2;
      out->append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override {
    if (encoded.size() != coordinates * sizeof(float)) {
      return absl::InvalidArgumentError("halving: not so many coordinates");
    }
    return std::make_unique<Halved>(encoded, coordinates, counts, max_abs_factor);
  }

 private:
  class Halved final : public Decoder {
   public:
    Halved(std::span<const uint8_t> encoded, uint64_t coordinates, std::shared_ptr<Counts> counts,
           float max_abs_factor)
        : Decoder(coordinates),
          encoded_(encoded),
          counts_(std::move(counts)),
          max_abs_factor_(max_abs_factor) {}

    absl::Status Read(uint64_t begin, std::span<float> out) override {
      FW_RETURN_IF_ERROR(CheckRange(begin, out.size()));
      ++counts_->reads;
      Values(begin, out);
      return absl::OkStatus();
    }

    absl::StatusOr<F32Stats> Scan() override {
      ++counts_->scans;
      std::vector<float> values(coordinates());
      Values(0, values);
      F32Scanner scanner;
      scanner.Add(values);
      F32Stats stats = scanner.Stats();
      stats.max_abs *= max_abs_factor_;
      return stats;
    }

   private:
    void Values(uint64_t begin, std::span<float> out) const {
      std::memcpy(out.data(), encoded_.data() + begin * sizeof(float), out.size_bytes());
      for (float& value : out) value *= 2;
    }

    const std::span<const uint8_t> encoded_;
    const std::shared_ptr<Counts> counts_;
    const float max_abs_factor_;
  };
};

}  // namespace fedwatt::testing
