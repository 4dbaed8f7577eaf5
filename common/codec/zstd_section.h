#pragma once

// Bytes of which both sides know how many they are, compressed with zstd: the length of the frame,
// then the frame; of no bytes, no frame. They may lie scattered over pieces of memory. Stateless
// and thread-safe.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace fedwatt {

// RESOURCE_EXHAUSTED: no memory for the compressor.
absl::Status AppendZstdSection(std::span<const std::span<const uint8_t>> pieces, std::string* out);

// Fills the pieces from the section at the front of *bytes and moves *bytes behind it. Never makes
// more bytes than the pieces hold, and needs about 1 MiB besides. INVALID_ARGUMENT: no such
// section, or one of another size. RESOURCE_EXHAUSTED: no memory for the decompressor.
absl::Status TakeZstdSection(std::span<const uint8_t>* bytes,
                             std::span<const std::span<uint8_t>> pieces);

}  // namespace fedwatt
