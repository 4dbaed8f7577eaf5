#include "server/driver/model_io.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/large_memory.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

static_assert(std::endian::native == std::endian::little, "flat models are little-endian");

ByteSpan BytesOf(std::span<const float> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}

// A piece is still in the processor's cache when the writer, having copied it, hashes it.
absl::Status AppendInPieces(ByteSpan data, BlobWriter* writer) {
  constexpr size_t kPieceBytes = 1 << 20;
  while (!data.empty()) {
    const ByteSpan piece = data.first(std::min(kPieceBytes, data.size()));
    FW_RETURN_IF_ERROR(writer->Append(piece));
    data = data.subspan(piece.size());
  }
  return absl::OkStatus();
}

// Joins the many small tensors of a model into writes of a size that a disk likes.
class Joiner {
 public:
  explicit Joiner(BlobWriter* writer) : writer_(writer) {}

  absl::Status Append(ByteSpan data) {
    if (pending_.size() + data.size() < kJoinBytes) {
      pending_.insert(pending_.end(), data.begin(), data.end());
      return absl::OkStatus();
    }
    FW_RETURN_IF_ERROR(Flush());
    return AppendInPieces(data, writer_);
  }

  absl::Status Flush() {
    if (pending_.empty()) return absl::OkStatus();
    FW_RETURN_IF_ERROR(writer_->Append(pending_));
    pending_.clear();
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kJoinBytes = 256 * 1024;
  BlobWriter* const writer_;
  std::vector<uint8_t> pending_;
};

}  // namespace

std::vector<float> GatherTrainable(const UpdateLayout& layout, ByteSpan model) {
  std::vector<float> values = LargeVector<float>(layout.coordinates);
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    std::memcpy(values.data() + piece.offset, model.data() + piece.model_offset,
                piece.elements * sizeof(float));
  }
  return values;
}

void ScatterTrainable(const UpdateLayout& layout, std::span<const float> values,
                      std::span<uint8_t> model) {
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    std::memcpy(model.data() + piece.model_offset, values.data() + piece.offset,
                piece.elements * sizeof(float));
  }
}

void SubtractTrainable(const UpdateLayout& layout, ByteSpan model, std::span<float> values) {
  // A flat model's tensors need not be aligned: they pass through a block that is.
  constexpr uint64_t kBlock = 4096;
  float block[kBlock];
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    for (uint64_t begin = 0; begin < piece.elements; begin += kBlock) {
      const uint64_t count = std::min(kBlock, piece.elements - begin);
      std::memcpy(block, model.data() + piece.model_offset + begin * sizeof(float),
                  count * sizeof(float));
      float* const out = values.data() + piece.offset + begin;
      for (uint64_t i = 0; i < count; ++i) out[i] -= block[i];
    }
  }
}

absl::StatusOr<std::unique_ptr<BlobWriter>> StartBlob(BlobStore* blobs, ByteSpan data) {
  FW_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, blobs->NewBlob());
  FW_RETURN_IF_ERROR(AppendInPieces(data, writer.get()));
  return writer;
}

absl::StatusOr<BlobRef> PutModel(BlobStore* blobs, const Manifest& manifest,
                                 const UpdateLayout& layout, ByteSpan base,
                                 std::span<const float> parameters, ByteSpan buffers) {
  if (base.size() != manifest.TotalBytes() || parameters.size() != layout.coordinates ||
      (!buffers.empty() && buffers.size() != layout.buffer_bytes)) {
    return absl::InternalError(absl::StrCat(
        "a model of ", base.size(), " bytes, ", parameters.size(), " parameters and ",
        buffers.size(), " bytes of buffers do not fit a manifest of ", manifest.TotalBytes(),
        " bytes and a layout of ", layout.coordinates, " and ", layout.buffer_bytes));
  }
  std::map<size_t, ByteSpan> replaced;
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    replaced[piece.tensor] = BytesOf(parameters.subspan(piece.offset, piece.elements));
  }
  for (const UpdateLayout::Piece& piece : layout.buffers) {
    if (buffers.empty()) break;
    replaced[piece.tensor] =
        buffers.subspan(piece.offset, manifest.tensors()[piece.tensor].Bytes());
  }
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer, blobs->NewBlob());
  Joiner joiner(writer.get());
  for (size_t i = 0; i < manifest.tensors().size(); ++i) {
    const auto it = replaced.find(i);
    FW_RETURN_IF_ERROR(
        joiner.Append(it != replaced.end()
                          ? it->second
                          : base.subspan(manifest.OffsetBytes(i), manifest.tensors()[i].Bytes())));
  }
  FW_RETURN_IF_ERROR(joiner.Flush());
  return writer->Commit();
}

}  // namespace fedwatt
