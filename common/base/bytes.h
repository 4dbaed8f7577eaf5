#pragma once

// Views of raw bytes, and byte counts and durations for people.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fedwatt {

using ByteSpan = std::span<const uint8_t>;

inline ByteSpan AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "999 B", "40.0 MB": decimal units, one digit after the point.
std::string HumanBytes(uint64_t bytes);

// "850 ms", "12.3 s", "2 m 05 s", "3 h 07 m", "12 d 04 h". Negative values get a minus sign.
std::string HumanDuration(int64_t duration_ms);

}  // namespace fedwatt
