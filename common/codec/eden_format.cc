#include "common/codec/eden_format.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/codec/centroids.h"

namespace fedwatt {

void AppendEdenHeader(const EdenHeader& header, std::string* out) {
  char bytes[kEdenHeaderBytes];
  bytes[0] = static_cast<char>(header.mode);
  bytes[1] = static_cast<char>(header.bits);
  bytes[2] = static_cast<char>(header.slots_per_stream);
  std::memcpy(bytes + 3, &header.seed.key, sizeof(uint64_t));
  std::memcpy(bytes + 11, &header.seed.stream, sizeof(uint64_t));
  out->append(bytes, sizeof(bytes));
}

absl::StatusOr<EdenHeader> TakeEdenHeader(std::span<const uint8_t>* bytes) {
  const std::span<const uint8_t> from = *bytes;
  if (from.size() < kEdenHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("eden: ", from.size(), " bytes; the header has ", kEdenHeaderBytes));
  }
  const bool uniform = from[0] == static_cast<uint8_t>(EdenMode::kUniform);
  const bool lloyd_max = from[0] == static_cast<uint8_t>(EdenMode::kLloydMax);
  const bool bits_fit = uniform ? from[1] == 0 : from[1] >= 1 && from[1] <= kMaxCentroidBits;
  if ((!uniform && !lloyd_max) || !bits_fit || from[2] == 0 || from[2] > kMaxSlotsPerStream) {
    return absl::InvalidArgumentError(absl::StrCat("eden: no such header: mode ", int{from[0]},
                                                   ", bits ", int{from[1]}, ", slots per stream ",
                                                   int{from[2]}));
  }
  EdenHeader header;
  header.mode = static_cast<EdenMode>(from[0]);
  header.bits = from[1];
  header.slots_per_stream = from[2];
  std::memcpy(&header.seed.key, from.data() + 3, sizeof(uint64_t));
  std::memcpy(&header.seed.stream, from.data() + 11, sizeof(uint64_t));
  *bytes = from.subspan(kEdenHeaderBytes);
  return header;
}

}  // namespace fedwatt
