#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "client/trainers/local_work/local_work.h"
#include "common/graph/training_graph.h"
#include "common/model/bundle_header.h"

// One layer of a training graph at work. Internal to the portable trainer.
namespace fedwatt::portable {

using Shape = std::vector<int64_t>;  // of one example

// What a layer reads and writes for one batch of `n` examples; all is row-major, one example after
// the other. Forward fills `out`. Backward adds to the gradients that are not null; those of values
// are set to zero before the first layer adds to them.
struct LayerIo {
  uint64_t n = 0;
  bool training = false;
  const int64_t* words = nullptr;  // value 0 where it is int64
  std::array<const float*, 2> in{};
  float* out = nullptr;
  std::array<float*, 2> in_grad{};
  const float* out_grad = nullptr;
  std::array<float*, 4> tensors{};  // null where the layer has none
  std::array<float*, 4> tensor_grads{};
  float* kept = nullptr;     // from Forward to Backward
  float* scratch = nullptr;  // within one call
  const WorkMonitor* monitor = nullptr;
};

// Floats of memory that a layer asks for beside its values.
struct LayerMemory {
  uint64_t kept = 0;              // for a layer
  uint64_t kept_per_example = 0;  // and for each example of a batch
  uint64_t scratch = 0;
};

class LayerOp {
 public:
  virtual ~LayerOp() = default;
  virtual LayerMemory Memory() const { return {}; }
  // INVALID_ARGUMENT for data that do not fit, and what WorkMonitor::Check says.
  virtual absl::Status Forward(const LayerIo& io) = 0;
  virtual absl::Status Backward(const LayerIo& io) = 0;
};

// Where a layer stands: shapes of its inputs, of its result and of its tensors.
struct LayerPlace {
  const Layer& layer;
  std::vector<Shape> in;
  Shape out;
  const std::vector<TensorSpec>& tensors;
};

// `place` belongs to a graph that passed GraphShapes.
std::unique_ptr<LayerOp> MakeLayerOp(const LayerPlace& place);

// By family, for MakeLayerOp; null: another family's.
std::unique_ptr<LayerOp> MakeDenseOp(const LayerPlace& place);
std::unique_ptr<LayerOp> MakeConvOp(const LayerPlace& place);
std::unique_ptr<LayerOp> MakeNormOp(const LayerPlace& place);
std::unique_ptr<LayerOp> MakePoolOp(const LayerPlace& place);
std::unique_ptr<LayerOp> MakePointwiseOp(const LayerPlace& place);

}  // namespace fedwatt::portable
