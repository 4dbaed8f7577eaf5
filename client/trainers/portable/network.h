#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "client/trainers/portable/layer_op.h"
#include "common/base/bytes.h"

// A training graph with its tensors and the memory of its batches.
//
//   Create -> Load(base) -> Reserve(n, ...) -> { Forward -> Backward? }*
//
// One thread.
namespace fedwatt::portable {

class Network {
 public:
  // `graph` and `header` outlive the network. INVALID_ARGUMENT: they do not fit.
  static absl::StatusOr<std::unique_ptr<Network>> Create(const TrainingGraph& graph,
                                                         const BundleHeader& header);

  // Bytes that tensors, values, gradients and work space of batches of up to `n` examples take.
  uint64_t BytesFor(uint64_t n, bool training) const;

  // Copies the tensors' data, all by tensor of the manifest, or one. Load fails with
  // RESOURCE_EXHAUSTED where memory does.
  absl::Status Load(const std::vector<const uint8_t*>& tensors);
  void LoadTensor(size_t tensor, const uint8_t* data);
  // Of one tensor, as flat data hold it.
  ByteSpan TensorBytes(size_t tensor) const;
  // Null: not float32.
  float* Values(size_t tensor);
  // Null: the loss does not depend on it, or it is not in training.
  float* Gradient(size_t tensor);

  // For batches of up to `n` examples. Training also computes gradients of the manifest's tensors
  // in `trained`. RESOURCE_EXHAUSTED where memory fails. INVALID_ARGUMENT: the loss depends on no
  // tensor in `trained`.
  absl::Status Reserve(uint64_t n, bool training, const std::vector<size_t>& trained);

  // Computes values 1...; `batch` is that of the header's input and lives until Backward is done.
  // In training only those that the loss depends on.
  absl::Status Forward(const Batch& batch, const WorkMonitor& monitor);
  // From the gradient of the loss, which the caller has added to Gradients of the loss's input.
  absl::Status Backward(const Batch& batch, const WorkMonitor& monitor);
  // Sets all gradients to zero, of values for a batch of `n` examples.
  void ClearGradients(uint64_t n);

  const float* Value(uint32_t value) const { return values_[value]; }
  float* ValueGradient(uint32_t value) { return value_grads_[value]; }
  const Shape& ShapeOf(uint32_t value) const { return shapes_[value]; }
  const TrainingGraph& graph() const { return graph_; }

 private:
  struct Block {
    std::unique_ptr<float[]> floats;
    uint64_t size = 0;
  };
  struct Tensor {
    std::vector<float> floats;   // of float32
    std::vector<uint8_t> bytes;  // of any other
  };

  Network(const TrainingGraph& graph, const BundleHeader& header, std::vector<Shape> shapes);
  uint64_t FloatsFor(uint64_t n, bool training) const;
  uint64_t ScratchFloats() const;
  void MarkNeeded(const std::vector<size_t>& trained);
  void LayOut(uint64_t n);
  LayerIo IoFor(size_t layer, const Batch& batch, const WorkMonitor& monitor);
  void CountBatch(const Layer& layer);

  const TrainingGraph& graph_;
  const BundleHeader& header_;
  const std::vector<Shape> shapes_;  // of values
  std::vector<std::unique_ptr<LayerOp>> ops_;
  std::vector<bool> in_loss_;  // by layer: the loss depends on it
  std::vector<Tensor> tensors_;

  bool training_ = false;
  uint64_t capacity_ = 0;         // examples
  std::vector<bool> needs_grad_;  // by value
  std::vector<std::vector<float>> tensor_grads_;
  Block block_;
  std::vector<float*> values_;
  std::vector<float*> value_grads_;
  std::vector<float*> kept_;
  float* scratch_ = nullptr;
};

}  // namespace fedwatt::portable
