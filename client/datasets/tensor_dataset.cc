#include "client/datasets/tensor_dataset.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/datasets/partition.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

uint64_t ExampleBytes(const std::vector<int64_t>& shape, DType dtype) {
  uint64_t bytes = DTypeBytes(dtype);
  for (const int64_t dim : shape) bytes *= static_cast<uint64_t>(dim);
  return bytes;
}

void GatherRows(const std::vector<uint8_t>& rows, uint64_t row_bytes,
                const std::vector<uint64_t>& indices, std::vector<uint8_t>* out) {
  out->resize(indices.size() * row_bytes);
  uint8_t* to = out->data();
  for (const uint64_t index : indices) {
    std::memcpy(to, rows.data() + index * row_bytes, row_bytes);
    to += row_bytes;
  }
}

std::vector<int64_t> WithBatch(uint64_t n, const std::vector<int64_t>& shape) {
  std::vector<int64_t> out = {static_cast<int64_t>(n)};
  out.insert(out.end(), shape.begin(), shape.end());
  return out;
}

}  // namespace

TensorDataset::TensorDataset(TensorData data)
    : data_(std::move(data)),
      x_bytes_(ExampleBytes(data_.x_shape, data_.x_dtype)),
      y_bytes_(ExampleBytes(data_.y_shape, data_.y_dtype)) {}

absl::Status TensorDataset::Gather(const std::vector<uint64_t>& indices, Batch* out) const {
  for (const uint64_t index : indices) {
    if (index >= data_.size) {
      return absl::OutOfRangeError(
          absl::StrCat("example ", index, " of a dataset of ", data_.size));
    }
  }
  out->n = indices.size();
  out->x_shape = WithBatch(out->n, data_.x_shape);
  out->x_dtype = data_.x_dtype;
  out->y_shape = WithBatch(out->n, data_.y_shape);
  out->y_dtype = data_.y_dtype;
  GatherRows(data_.x, x_bytes_, indices, &out->x);
  GatherRows(data_.y, y_bytes_, indices, &out->y);
  return absl::OkStatus();
}

std::vector<int64_t> TensorDataset::Labels() const {
  if (!data_.y_is_class) return {};
  std::vector<int64_t> labels(data_.size);
  std::memcpy(labels.data(), data_.y.data(), data_.y.size());
  return labels;
}

std::shared_ptr<const Dataset> TensorDataset::Take(const std::vector<uint64_t>& indices) const {
  TensorData part;
  part.size = indices.size();
  part.x_shape = data_.x_shape;
  part.x_dtype = data_.x_dtype;
  part.y_shape = data_.y_shape;
  part.y_dtype = data_.y_dtype;
  part.y_is_class = data_.y_is_class;
  GatherRows(data_.x, x_bytes_, indices, &part.x);
  GatherRows(data_.y, y_bytes_, indices, &part.y);
  if (!data_.owners.empty()) {
    for (const uint64_t index : indices) part.owners.push_back(data_.owners[index]);
  }
  return std::make_shared<TensorDataset>(std::move(part));
}

absl::StatusOr<std::shared_ptr<const Dataset>> TakePartition(TensorData data,
                                                             const DatasetConfig& config) {
  const TensorDataset whole(std::move(data));
  const PartitionInput input{
      .size = whole.size(), .labels = whole.Labels(), .owners = whole.Owners()};
  FW_ASSIGN_OR_RETURN(const std::vector<uint64_t> indices, PartitionOf(input, config.options));
  return whole.Take(indices);
}

}  // namespace fedwatt
