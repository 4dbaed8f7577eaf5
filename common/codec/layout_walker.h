#pragma once

// The coordinates of an update layout within a flat model, in rising order.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "common/model/manifest.h"

namespace fedwatt {

// Walks over the layout once; copies, since a flat model's tensors need not be aligned. One thread
// at a time. The layout must outlive it.
class LayoutWalker {
 public:
  explicit LayoutWalker(const UpdateLayout* layout) : layout_(layout) {}

  // The next out.size() coordinates, which exist.
  void Read(std::span<const uint8_t> model, std::span<float> out);
  void Write(std::span<const float> values, std::span<uint8_t> model);

  // Calls fn(offset in the model, bytes) for each run of the next values.size() coordinates.
  using Run = std::function<void(uint64_t, std::span<const uint8_t>)>;
  void EachRun(std::span<const float> values, const Run& fn);

 private:
  // Calls fn(offset in the model, bytes) for each run of the next `bytes` bytes.
  template <typename Fn>
  void Advance(uint64_t bytes, const Fn& fn);

  const UpdateLayout* layout_;
  size_t piece_ = 0;
  uint64_t within_ = 0;  // bytes of the piece that are done
};

// The parts of a flat model that are no coordinates of the layout.
std::vector<std::span<uint8_t>> OutsideOf(const Manifest& manifest, const UpdateLayout& layout,
                                          std::span<uint8_t> model);
std::vector<std::span<const uint8_t>> OutsideOf(const Manifest& manifest,
                                                const UpdateLayout& layout,
                                                std::span<const uint8_t> model);

// The layout's buffers within a flat model.
std::vector<std::span<uint8_t>> BuffersOf(const Manifest& manifest, const UpdateLayout& layout,
                                          std::span<uint8_t> model);

}  // namespace fedwatt
