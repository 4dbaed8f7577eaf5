#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/error_feedback.h"
#include "common/codec/codec.h"
#include "common/crypto/sha256.h"
#include "common/model/manifest.h"

// From what a trainer wrote (float32 delta in UpdateLayout order, then buffers) to what is sent:
// the codec's encoding of the delta, with error feedback (error_feedback.h) for codecs that need
// it, then the same buffers.
namespace fedwatt {

struct EncodeRequest {
  std::string delta_path;
  std::string update_path;
  const Manifest* manifest = nullptr;
  UpdateLayout layout;
  CodecContext context;
  double max_abs_delta = 0;  // a coordinate beyond it would be refused; 0: no limit
  uint64_t max_bytes = 0;    // of the update; 0: no limit
  bool sync = true;          // fsync the update
  // Used by codecs that need error feedback.
  std::optional<FeedbackStep::Files> feedback;
};

struct EncodedUpdate {
  Digest sha256{};
  uint64_t bytes = 0;
  std::string inline_data = {};  // the update once more, if it is small enough to travel inline
  std::string problem = {};      // what was damaged and could be gone round, or empty
};

// FAILED_PRECONDITION for a codec that needs error feedback on a client that keeps no state.
absl::Status CheckStateful(const Codec& codec, bool keeps_state);

// Checks size, finiteness and bound, encodes, and writes `update_path`. Where the encoding is the
// delta itself (raw_f32) the file is renamed instead of copied; a repeated call then finds the
// update in place of the delta.
//
// INVALID_ARGUMENT names the first coordinate or buffer that is NaN, infinite or beyond the bound,
// with its tensor; RESOURCE_EXHAUSTED for an update beyond `max_bytes` or a full disk; DATA_LOSS
// for a file of the wrong size; FAILED_PRECONDITION for a codec that needs error feedback without
// `feedback`.
absl::StatusOr<EncodedUpdate> EncodeKeptUpdate(const EncodeRequest& request, const Codec& codec);

}  // namespace fedwatt
