#pragma once

#include <bit>
#include <cstdint>

namespace fedwatt {

// floor(log2(examples)) + 1; 0 for 0. Devices tell no more than this of how much data they hold.
inline uint32_t ExampleCountBucket(uint64_t examples) {
  return static_cast<uint32_t>(std::bit_width(examples));
}

}  // namespace fedwatt
