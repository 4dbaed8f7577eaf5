#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "common/codec/codec.h"

namespace fedwatt {

// Decoder of `eden` (eden_format.h). Keeps one stream's symbols (2 MiB at most) and one piece.
//
// Its Scan decodes the streams but turns no whole piece back: a rotation keeps the sum of squares,
// and max_abs is the greatest norm of a piece, some 50 times what it is for dense vectors. Who
// needs it exactly calls Decoder::Scan.
absl::StatusOr<std::unique_ptr<Decoder>> OpenEden(std::span<const uint8_t> encoded,
                                                  uint64_t coordinates);

}  // namespace fedwatt
