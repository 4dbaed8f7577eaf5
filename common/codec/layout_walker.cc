#include "common/codec/layout_walker.h"

#include <algorithm>
#include <cstring>

namespace fedwatt {
namespace {

template <typename Byte>
std::vector<std::span<Byte>> Outside(const Manifest& manifest, const UpdateLayout& layout,
                                     std::span<Byte> model) {
  std::vector<std::span<Byte>> parts;
  uint64_t done = 0;
  const auto up_to = [&](uint64_t end) {
    if (end > done) parts.push_back(model.subspan(done, end - done));
  };
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    up_to(piece.model_offset);
    done = piece.model_offset + piece.elements * sizeof(float);
  }
  up_to(manifest.TotalBytes());
  return parts;
}

}  // namespace

template <typename Fn>
void LayoutWalker::Advance(uint64_t bytes, const Fn& fn) {
  while (bytes > 0) {
    const UpdateLayout::Piece& piece = layout_->trainable[piece_];
    const uint64_t run = std::min(bytes, piece.elements * sizeof(float) - within_);
    if (run > 0) fn(piece.model_offset + within_, run);
    bytes -= run;
    within_ += run;
    if (within_ == piece.elements * sizeof(float)) {
      ++piece_;
      within_ = 0;
    }
  }
}

void LayoutWalker::Read(std::span<const uint8_t> model, std::span<float> out) {
  auto* at = reinterpret_cast<uint8_t*>(out.data());
  Advance(out.size_bytes(), [&](uint64_t offset, uint64_t bytes) {
    std::memcpy(at, model.data() + offset, bytes);
    at += bytes;
  });
}

void LayoutWalker::Write(std::span<const float> values, std::span<uint8_t> model) {
  const auto* at = reinterpret_cast<const uint8_t*>(values.data());
  Advance(values.size_bytes(), [&](uint64_t offset, uint64_t bytes) {
    std::memcpy(model.data() + offset, at, bytes);
    at += bytes;
  });
}

void LayoutWalker::EachRun(std::span<const float> values, const Run& fn) {
  const auto* at = reinterpret_cast<const uint8_t*>(values.data());
  Advance(values.size_bytes(), [&](uint64_t offset, uint64_t bytes) {
    fn(offset, {at, bytes});
    at += bytes;
  });
}

std::vector<std::span<uint8_t>> OutsideOf(const Manifest& manifest, const UpdateLayout& layout,
                                          std::span<uint8_t> model) {
  return Outside(manifest, layout, model);
}

std::vector<std::span<const uint8_t>> OutsideOf(const Manifest& manifest,
                                                const UpdateLayout& layout,
                                                std::span<const uint8_t> model) {
  return Outside(manifest, layout, model);
}

std::vector<std::span<uint8_t>> BuffersOf(const Manifest& manifest, const UpdateLayout& layout,
                                          std::span<uint8_t> model) {
  std::vector<std::span<uint8_t>> buffers;
  for (const UpdateLayout::Piece& piece : layout.buffers) {
    buffers.push_back(model.subspan(piece.model_offset, manifest.tensors()[piece.tensor].Bytes()));
  }
  return buffers;
}

}  // namespace fedwatt
