#include "server/driver/update_view.h"

#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {

absl::StatusOr<std::unique_ptr<SpooledUpdateView>> SpooledUpdateView::Create(
    const JobSetup* setup, const SpooledUpdate* update, uint64_t weight, double clip_factor) {
  const uint64_t buffers = setup->layout.buffer_bytes;
  if (update->size() < buffers) {
    return absl::InvalidArgumentError(absl::StrCat("the update has ", update->size(),
                                                   " bytes, fewer than the ", buffers,
                                                   " of the model's buffers"));
  }
  std::unique_ptr<SpooledUpdateView> view(
      new SpooledUpdateView(setup, update, weight, clip_factor));
  view->encoded_bytes_ = update->size() - buffers;
  const uint64_t coordinates = setup->layout.coordinates;
  view->plain_ = setup->codec->spec().name == "raw_f32";
  if (view->plain_) {
    if (view->encoded_bytes_ != coordinates * sizeof(float)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the update has ", update->size(), " bytes; the ", coordinates,
                       " coordinates of this job and ", buffers, " bytes of buffers take ",
                       coordinates * sizeof(float) + buffers));
    }
    return view;
  }
  view->encoded_.resize(view->encoded_bytes_);
  FW_RETURN_IF_ERROR(update->ReadAt(0, view->encoded_));
  FW_ASSIGN_OR_RETURN(view->decoder_, setup->codec->Open(view->encoded_, coordinates));
  return view;
}

absl::Status SpooledUpdateView::ReadDelta(uint64_t begin, std::span<float> out) const {
  const uint64_t coordinates = setup_->layout.coordinates;
  if (begin > coordinates || out.size() > coordinates - begin) {
    return absl::OutOfRangeError(
        absl::StrCat("coordinates ", begin, "+", out.size(), " of ", coordinates));
  }
  if (!plain_) {
    return decoder_->Read(begin, out);
  }
  // A plain encoding is the values themselves, little-endian as this machine.
  static_assert(std::endian::native == std::endian::little);
  return update_->ReadAt(begin * sizeof(float),
                         {reinterpret_cast<uint8_t*>(out.data()), out.size_bytes()});
}

absl::StatusOr<std::vector<uint8_t>> SpooledUpdateView::ReadBuffers() const {
  std::vector<uint8_t> buffers(setup_->layout.buffer_bytes);
  if (!buffers.empty()) FW_RETURN_IF_ERROR(update_->ReadAt(encoded_bytes_, buffers));
  return buffers;
}

}  // namespace fedwatt
