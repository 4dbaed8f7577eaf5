#include "client/trainers/local_work/base_tensors.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {

bool KeepsBuffers(const TrainRequest& request) {
  return request.plan.buffers == BufferMode::kLocal && !request.local_buffers_path.empty();
}

absl::Status BaseTensors::Open(const TrainRequest& request, const BundleHeader& header,
                               ByteSpan bundle_tensors) {
  ByteSpan flat = bundle_tensors;
  if (!request.model_path.empty()) {
    FW_ASSIGN_OR_RETURN(model_, MappedFile::Open(request.model_path));
    flat = model_.bytes();
  }
  const Manifest& manifest = header.manifest;
  if (flat.size() != manifest.TotalBytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the tensors in ", request.model_path.empty() ? request.bundle_path : request.model_path,
        " are ", flat.size(), " bytes; model ", header.name, " has ", manifest.TotalBytes()));
  }
  for (size_t i = 0; i < manifest.tensors().size(); ++i) {
    all_.push_back(flat.data() + manifest.OffsetBytes(i));
  }
  if (!KeepsBuffers(request) || !FileExists(request.local_buffers_path)) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const UpdateLayout layout,
                      MakeUpdateLayout(manifest, {}, BufferMode::kAverage));
  FW_ASSIGN_OR_RETURN(buffers_, MappedFile::Open(request.local_buffers_path));
  if (buffers_.bytes().size() != layout.buffer_bytes) return absl::OkStatus();  // of another model
  for (const UpdateLayout::Piece& piece : layout.buffers) {
    all_[piece.tensor] = buffers_.bytes().data() + piece.offset;
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
