#include "common/codec/codec.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {

absl::Status Decoder::CheckRange(uint64_t begin, uint64_t count) const {
  if (begin <= coordinates_ && count <= coordinates_ - begin) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("coordinates ", begin, " to ", begin + count,
                                                 " of ", coordinates_, " do not exist"));
}

absl::StatusOr<F32Stats> Decoder::Scan() {
  constexpr uint64_t kBlock = 64 * 1024;
  std::vector<float> block(std::min(kBlock, coordinates_));
  F32Scanner scanner;
  for (uint64_t begin = 0; begin < coordinates_; begin += block.size()) {
    const std::span<float> part(block.data(),
                                std::min<uint64_t>(block.size(), coordinates_ - begin));
    FW_RETURN_IF_ERROR(Read(begin, part));
    scanner.Add(part);
  }
  return scanner.Stats();
}

absl::Status CheckEncodable(const std::string& codec, std::span<const float> values,
                            double max_abs) {
  F32Scanner scanner;
  scanner.Add(values);
  const F32Stats stats = scanner.Stats();
  if (stats.finite && stats.max_abs <= max_abs) return absl::OkStatus();
  uint64_t bad = 0;
  while (std::isfinite(values[bad]) && std::fabs(values[bad]) <= max_abs) ++bad;
  return absl::InvalidArgumentError(
      absl::StrCat(codec, ": coordinate ", bad, " is ", values[bad],
                   std::isfinite(values[bad]) ? absl::StrCat(": beyond +-", max_abs,
                                                             ", the most that this codec can "
                                                             "carry; choose another one")
                                              : std::string(": must be finite")));
}

absl::StatusOr<std::vector<float>> DecodeAll(const Codec& codec, std::span<const uint8_t> encoded,
                                             uint64_t coordinates) {
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder, codec.Open(encoded, coordinates));
  std::vector<float> values(coordinates);
  FW_RETURN_IF_ERROR(decoder->Read(0, values));
  return values;
}

}  // namespace fedwatt
