#include "common/codec/update_payload.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {

uint64_t MaxUpdateBytes(const Codec& codec, const UpdateLayout& layout) {
  const uint64_t delta = codec.MaxEncodedBytes(layout.coordinates);
  const uint64_t room = std::numeric_limits<uint64_t>::max() - delta;
  return delta + (layout.buffer_bytes < room ? layout.buffer_bytes : room);
}

absl::StatusOr<std::string> EncodeUpdate(const Codec& codec, std::span<const float> delta,
                                         std::span<const uint8_t> buffers,
                                         const CodecContext& context) {
  std::string payload;
  FW_RETURN_IF_ERROR(codec.Encode(delta, context, &payload));
  payload.append(reinterpret_cast<const char*>(buffers.data()), buffers.size());
  return payload;
}

absl::StatusOr<std::string> EncodeUpdateFile(const Codec& codec, const UpdateLayout& layout,
                                             const std::string& path, const CodecContext& context) {
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const std::span<const uint8_t> bytes = file.bytes();
  const uint64_t delta_bytes = layout.coordinates * sizeof(float);
  if (bytes.size() != delta_bytes + layout.buffer_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the trainer wrote ", bytes.size(),
                                                   " bytes, the update has ", delta_bytes, " + ",
                                                   layout.buffer_bytes, " (delta and buffers)"));
  }
  // A mapping begins at a page: aligned for float.
  const std::span<const float> delta(reinterpret_cast<const float*>(bytes.data()),
                                     layout.coordinates);
  return EncodeUpdate(codec, delta, bytes.subspan(delta_bytes), context);
}

absl::StatusOr<UpdatePayloadView> UpdatePayloadView::Create(const Codec& codec,
                                                            const UpdateLayout& layout,
                                                            std::span<const uint8_t> payload) {
  const uint64_t max = MaxUpdateBytes(codec, layout);
  if (payload.size() < layout.buffer_bytes || payload.size() > max) {
    return absl::InvalidArgumentError(
        absl::StrCat("an update of ", payload.size(), " bytes: with codec ", codec.name(),
                     " it must have ", layout.buffer_bytes, " to ", max));
  }
  const uint64_t delta_bytes = payload.size() - layout.buffer_bytes;
  return UpdatePayloadView(payload.first(delta_bytes), payload.subspan(delta_bytes));
}

}  // namespace fedwatt
