#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/datasets/dataset.h"

// Examples held in memory as two flat arrays.
namespace fedwatt {

struct TensorData {
  uint64_t size = 0;
  std::vector<int64_t> x_shape;  // of one example
  DType x_dtype = DType::kF32;
  std::vector<uint8_t> x;
  std::vector<int64_t> y_shape;  // of one example; empty: a scalar
  DType y_dtype = DType::kI64;
  std::vector<uint8_t> y;
  bool y_is_class = false;          // scalar int64 labels
  std::vector<std::string> owners;  // empty: none
};

class TensorDataset : public Dataset {
 public:
  explicit TensorDataset(TensorData data);

  uint64_t size() const override { return data_.size; }
  std::vector<int64_t> input_shape() const override { return data_.x_shape; }
  DType input_dtype() const override { return data_.x_dtype; }
  absl::Status Gather(const std::vector<uint64_t>& indices, Batch* out) const override;
  std::vector<int64_t> Labels() const override;
  std::vector<std::string> Owners() const override { return data_.owners; }

  // A dataset of copies of the examples at `indices` (< size()).
  std::shared_ptr<const Dataset> Take(const std::vector<uint64_t>& indices) const;

 private:
  const TensorData data_;
  const uint64_t x_bytes_;  // of one example
  const uint64_t y_bytes_;
};

// The client's part of `data`, as the options of `config` say.
absl::StatusOr<std::shared_ptr<const Dataset>> TakePartition(TensorData data,
                                                             const DatasetConfig& config);

}  // namespace fedwatt
