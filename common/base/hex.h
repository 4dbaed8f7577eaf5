#pragma once

// Lower-case hexadecimal.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/bytes.h"

namespace fedwatt {

std::string HexEncode(ByteSpan bytes);

// Accepts both cases. INVALID_ARGUMENT for an odd length or a character that is not a digit,
// naming its position.
absl::StatusOr<std::vector<uint8_t>> HexDecode(std::string_view text);

}  // namespace fedwatt
