#pragma once

// Numbers of 0 to 16 bits side by side. Of widths from 8: first the low byte of each number, then
// what is above it as numbers of width - 8 bits. These begin at the lowest bit of a byte and follow
// one another upwards, so that eight of them are `width` bytes. Stateless and thread-safe.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace fedwatt {

size_t PackedBytes(size_t count, int width);

// Appends the low `width` bits of each value, PackedBytes in all.
void AppendPacked(std::span<const int16_t> values, int width, std::string* out);

// values[i] |= the i-th number. `packed` holds PackedBytes(values.size(), width).
void OrPacked(std::span<const uint8_t> packed, int width, std::span<int16_t> values);

}  // namespace fedwatt
