#include "server/driver/update_view.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// A plain encoding is the values themselves, little-endian as this machine.
static_assert(std::endian::native == std::endian::little);
bool IsPlain(const UploadCodec& codec) { return codec.need.codec == "raw_f32"; }

}  // namespace

uint64_t SpooledUpdateView::HeldBytes(const UploadCodec& codec, uint64_t update_bytes) {
  return IsPlain(codec) ? 0 : update_bytes;
}

absl::StatusOr<std::unique_ptr<SpooledUpdateView>> SpooledUpdateView::Create(
    const JobSetup* setup, const UploadCodec* codec, const SpooledUpdate* update, uint64_t weight,
    double clip_factor) {
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
  if (IsPlain(*codec)) {
    if (view->encoded_bytes_ == coordinates * sizeof(float)) return view;
    return absl::InvalidArgumentError(
        absl::StrCat("the update has ", update->size(), " bytes; the ", coordinates,
                     " coordinates of this job and ", buffers, " bytes of buffers take ",
                     coordinates * sizeof(float) + buffers));
  }
  std::span<const uint8_t> encoded =
      update->bytes().first(std::min<size_t>(update->bytes().size(), view->encoded_bytes_));
  if (update->bytes().empty()) {
    view->encoded_ = std::make_unique_for_overwrite<uint8_t[]>(view->encoded_bytes_);
    const std::span<uint8_t> copy(view->encoded_.get(), view->encoded_bytes_);
    FW_RETURN_IF_ERROR(update->ReadAt(0, copy));
    encoded = copy;
  }
  FW_ASSIGN_OR_RETURN(view->decoder_, codec->codec->Open(encoded, coordinates));
  return view;
}

absl::Status SpooledUpdateView::ReadPlain(uint64_t begin, std::span<float> out) const {
  return update_->ReadAt(begin * sizeof(float),
                         {reinterpret_cast<uint8_t*>(out.data()), out.size_bytes()});
}

absl::Status SpooledUpdateView::ReadDelta(uint64_t begin, std::span<float> out) const {
  const uint64_t coordinates = setup_->layout.coordinates;
  if (begin > coordinates || out.size() > coordinates - begin) {
    return absl::OutOfRangeError(
        absl::StrCat("coordinates ", begin, "+", out.size(), " of ", coordinates));
  }
  return decoder_ == nullptr ? ReadPlain(begin, out) : decoder_->Read(begin, out);
}

absl::StatusOr<F32Stats> SpooledUpdateView::Scan() const {
  if (decoder_ != nullptr) return decoder_->Scan();
  const uint64_t coordinates = setup_->layout.coordinates;
  std::vector<float> block(std::min(kBlock, coordinates));
  F32Scanner scanner;
  for (uint64_t begin = 0; begin < coordinates; begin += block.size()) {
    const std::span<float> part(block.data(),
                                std::min<uint64_t>(block.size(), coordinates - begin));
    FW_RETURN_IF_ERROR(ReadPlain(begin, part));
    scanner.Add(part);
  }
  return scanner.Stats();
}

absl::StatusOr<std::vector<uint8_t>> SpooledUpdateView::ReadBuffers() const {
  std::vector<uint8_t> buffers(setup_->layout.buffer_bytes);
  if (!buffers.empty()) FW_RETURN_IF_ERROR(update_->ReadAt(encoded_bytes_, buffers));
  return buffers;
}

}  // namespace fedwatt
