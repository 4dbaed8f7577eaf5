#pragma once

// Unsigned integers in 1 to 10 bytes: seven bits each, low ones first, the top bit of a byte says
// that another follows (LEB128).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace fedwatt {

inline constexpr size_t kMaxVarintBytes = 10;

void AppendVarint(uint64_t value, std::string* out);

// Reads the number at the front of *bytes and moves *bytes behind it. INVALID_ARGUMENT: cut off,
// above 2^64 - 1, or longer than it need be.
absl::StatusOr<uint64_t> TakeVarint(std::span<const uint8_t>* bytes);

}  // namespace fedwatt
