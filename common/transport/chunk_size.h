#pragma once

#include <algorithm>
#include <cstdint>

#include "common/base/bounds.h"

namespace fedwatt {

// Bytes of one message of a streamed blob. A connection that breaks loses the message under way, so
// small blobs travel in sixteen pieces or more: cut anywhere, what is sent twice stays below a
// tenth.
inline uint64_t TransferChunkBytes(uint64_t blob_bytes) {
  constexpr uint64_t kPieces = 16;
  constexpr uint64_t kLeast = 64 * 1024;
  return std::clamp<uint64_t>(blob_bytes / kPieces, kLeast, bounds::kChunkBytes);
}

}  // namespace fedwatt
