#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/bytes.h"
#include "common/model/manifest.h"
#include "server/store/blob_store.h"

// Between a model's flat bytes and the coordinates that a round changes.
namespace fedwatt {

// The coordinates of `layout` out of a flat model of manifest.TotalBytes() bytes.
std::vector<float> GatherTrainable(const UpdateLayout& layout, ByteSpan model);

// Into their places of a flat model.
void ScatterTrainable(const UpdateLayout& layout, std::span<const float> values,
                      std::span<uint8_t> model);

// values -= the coordinates of a flat model.
void SubtractTrainable(const UpdateLayout& layout, ByteSpan model, std::span<float> values);

// A blob of `data` on its way to the disk, which works while the caller goes on; durable after
// BlobWriter::Commit.
absl::StatusOr<std::unique_ptr<BlobWriter>> StartBlob(BlobStore* blobs, ByteSpan data);

// A new model: `base` with `parameters` (layout.coordinates) and `buffers` (layout.buffer_bytes, or
// empty: keep the base's) in their places. Streams, durable on return.
absl::StatusOr<BlobRef> PutModel(BlobStore* blobs, const Manifest& manifest,
                                 const UpdateLayout& layout, ByteSpan base,
                                 std::span<const float> parameters, ByteSpan buffers);

}  // namespace fedwatt
