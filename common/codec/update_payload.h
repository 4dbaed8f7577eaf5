#pragma once

// The bytes of an update (docs/update-format.md): the coded delta of layout.coordinates float32,
// then layout.buffer_bytes of raw buffers. No header: the assignment says everything else.
// Stateless and thread-safe.

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/codec/codec.h"
#include "common/model/manifest.h"

namespace fedwatt {

// What an upload for `layout` may declare at most: Assignment.max_upload_bytes.
uint64_t MaxUpdateBytes(const Codec& codec, const UpdateLayout& layout);

absl::StatusOr<std::string> EncodeUpdate(const Codec& codec, std::span<const float> delta,
                                         std::span<const uint8_t> buffers,
                                         const CodecContext& context);

// Encodes a trainer's output file, which holds the delta as float32 and then the buffers, for
// `layout`. INVALID_ARGUMENT when the file's size is not the layout's.
absl::StatusOr<std::string> EncodeUpdateFile(const Codec& codec, const UpdateLayout& layout,
                                             const std::string& path, const CodecContext& context);

// An update's bytes, split. Does not own them.
class UpdatePayloadView {
 public:
  // INVALID_ARGUMENT when `payload` is shorter than the buffers or longer than MaxUpdateBytes.
  static absl::StatusOr<UpdatePayloadView> Create(const Codec& codec, const UpdateLayout& layout,
                                                  std::span<const uint8_t> payload);

  std::span<const uint8_t> encoded_delta() const { return delta_; }
  std::span<const uint8_t> buffers() const { return buffers_; }

 private:
  UpdatePayloadView(std::span<const uint8_t> delta, std::span<const uint8_t> buffers)
      : delta_(delta), buffers_(buffers) {}

  std::span<const uint8_t> delta_;
  std::span<const uint8_t> buffers_;
};

}  // namespace fedwatt
