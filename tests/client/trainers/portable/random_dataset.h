#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/datasets/dataset.h"
#include "common/base/rng.h"

namespace fedwatt {

// Numbers without meaning, the same in every run. Words are codes below 11, classes below
// `classes`, other targets uniform in [0, 1).
class RandomDataset final : public Dataset {
 public:
  struct Layout {
    std::vector<int64_t> x_shape;
    DType x_dtype = DType::kF32;
    std::vector<int64_t> y_shape;
    DType y_dtype = DType::kI64;
    int64_t classes = 3;
  };

  RandomDataset(uint64_t size, Layout layout) : size_(size), layout_(std::move(layout)) {}

  uint64_t size() const override { return size_; }
  std::vector<int64_t> input_shape() const override { return layout_.x_shape; }
  DType input_dtype() const override { return layout_.x_dtype; }
  absl::Status Gather(const std::vector<uint64_t>& indices, Batch* out) const override {
    *out = Batch();
    out->n = indices.size();
    out->x_dtype = layout_.x_dtype;
    out->y_dtype = layout_.y_dtype;
    out->x_shape = WithBatch(layout_.x_shape, out->n);
    out->y_shape = WithBatch(layout_.y_shape, out->n);
    for (const uint64_t index : indices) {
      RngKey key;
      key.purpose = "random-dataset";
      key.seed = index;
      Rng rng(key);
      Fill(Elements(layout_.x_shape), layout_.x_dtype, kWords, rng, &out->x);
      Fill(Elements(layout_.y_shape), layout_.y_dtype, layout_.classes, rng, &out->y);
    }
    return absl::OkStatus();
  }

 private:
  static constexpr int64_t kWords = 11;

  static uint64_t Elements(const std::vector<int64_t>& shape) {
    uint64_t elements = 1;
    for (const int64_t dim : shape) elements *= static_cast<uint64_t>(dim);
    return elements;
  }

  static std::vector<int64_t> WithBatch(std::vector<int64_t> shape, uint64_t n) {
    shape.insert(shape.begin(), static_cast<int64_t>(n));
    return shape;
  }

  static void Fill(uint64_t elements, DType dtype, int64_t bound, Rng& rng,
                   std::vector<uint8_t>* out) {
    for (uint64_t i = 0; i < elements; ++i) {
      if (dtype == DType::kI64) {
        Append(static_cast<int64_t>(rng.UniformInt(static_cast<uint64_t>(bound))), out);
      } else {
        Append(static_cast<float>(rng.Uniform01()), out);
      }
    }
  }

  template <typename T>
  static void Append(T value, std::vector<uint8_t>* out) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    out->insert(out->end(), bytes, bytes + sizeof(value));
  }

  const uint64_t size_;
  const Layout layout_;
};

}  // namespace fedwatt
