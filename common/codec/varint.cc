#include "common/codec/varint.h"

#include <algorithm>

#include "absl/status/status.h"

namespace fedwatt {

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

absl::StatusOr<uint64_t> TakeVarint(std::span<const uint8_t>* bytes) {
  uint64_t value = 0;
  const size_t limit = std::min(bytes->size(), kMaxVarintBytes);
  for (size_t i = 0; i < limit; ++i) {
    const uint64_t byte = (*bytes)[i];
    if (i == kMaxVarintBytes - 1 && byte > 1) break;
    value |= (byte & 0x7f) << (7 * i);
    if (byte >= 0x80) continue;
    if (byte == 0 && i > 0) break;
    *bytes = bytes->subspan(i + 1);
    return value;
  }
  return absl::InvalidArgumentError("a number is cut off or longer than it need be");
}

}  // namespace fedwatt
