#pragma once

// Internal: LibTorch types; see script_module.h and graph_derivation.h.

#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/graph/training_graph.h"
#include "common/model/manifest.h"

namespace fedwatt::torch_internal {

using BatchShape = std::vector<int64_t>;  // with the batch

// A result of a layer (or the examples). Values of TorchScript that stand for one tensor share it,
// so that an operator in place changes all of them.
struct TracedValue {
  uint32_t value = 0;
  BatchShape shape;
  bool viewed = false;  // another traced value may have the same memory
};

// A loss on its way from one number per element to one per example.
struct TracedLoss {
  LossSpec spec;
  uint32_t value = 0;
  BatchShape shape;
  bool reduced = false;
};

// What stands in the place of a value of TorchScript.
struct Symbol {
  enum class Kind {
    kConstant,    // numbers, strings, lists of them, modules, None
    kValue,       // of the graph
    kTensor,      // of the manifest
    kTarget,      // y
    kDifference,  // of a value and y
    kLoss,
    kCount,   // a counter of batches plus one
    kList,    // of symbols
    kOpaque,  // a tensor without a counterpart: refused where it is used
  };
  Kind kind = Kind::kConstant;
  c10::IValue constant;
  std::string path;  // of a module: "layer1.0"
  std::shared_ptr<TracedValue> value;
  uint32_t tensor = kNoTensor;
  BatchShape shape;  // kTarget
  TracedLoss loss;
  std::vector<Symbol> items;

  static Symbol Constant(c10::IValue value);
  static Symbol Of(std::shared_ptr<TracedValue> value);
  bool IsNone() const { return kind == Kind::kConstant && constant.isNone(); }
};

BatchShape DropOnes(const BatchShape& shape);
// "relu" of aten::relu and aten::relu_.
std::string PlainName(const torch::jit::Node* node);
bool ChangesInPlace(const torch::jit::Node* node);

// Follows methods of one module, for one size of a batch. Errors are UNIMPLEMENTED.
class GraphTracer {
 public:
  struct Mode {
    bool training = true;
    int64_t batch = 2;  // best a number that no dimension has
  };

  GraphTracer(const torch::jit::Module& module, const Manifest& manifest, const Mode& mode);

  // The examples, of this shape without the batch.
  Symbol Input(const std::vector<int64_t>& shape);
  static Symbol Target(BatchShape shape);

  absl::StatusOr<Symbol> CallMethod(const std::string& method, std::vector<Symbol> arguments);

  const std::vector<Layer>& layers() const { return layers_; }
  int64_t batch() const { return mode_.batch; }

 private:
  using Env = std::unordered_map<const torch::jit::Value*, Symbol>;

  // One operator: its node, its arguments, and room for what it gives.
  struct Call {
    const torch::jit::Node* node;
    std::vector<Symbol> in;
    Symbol out;
  };
  using Handler = absl::Status (GraphTracer::*)(Call*);

  // ---- control flow and numbers: graph_tracer.cc
  absl::StatusOr<std::vector<Symbol>> RunFunction(torch::jit::Function& function,
                                                  std::vector<Symbol> arguments);
  absl::StatusOr<std::vector<Symbol>> RunBlock(const torch::jit::Block* block, Env* env);
  absl::Status RunNode(const torch::jit::Node* node, Env* env);
  absl::Status RunIf(const torch::jit::Node* node, Env* env);
  absl::Status RunLoop(const torch::jit::Node* node, Env* env);
  absl::Status RunCall(const torch::jit::Node* node, Env* env);
  absl::Status RunUnpack(const torch::jit::Node* node, Env* env);
  absl::Status RunOperator(const torch::jit::Node* node, Env* env);
  absl::Status GetAttribute(Call* call);
  absl::Status SetAttribute(Call* call);
  absl::Status Compute(Call* call);
  absl::Status ConstructList(Call* call);
  absl::Status NoCounterpart(const Call& call, const std::string& why = "") const;
  absl::Status Refuse(const std::string& why) const;

  // ---- arguments of operators
  absl::StatusOr<std::shared_ptr<TracedValue>> ValueAt(const Call& call, size_t index) const;
  absl::StatusOr<uint32_t> TensorAt(const Call& call, size_t index) const;
  absl::StatusOr<int64_t> IntAt(const Call& call, size_t index) const;
  absl::StatusOr<double> RealAt(const Call& call, size_t index) const;
  absl::StatusOr<std::vector<int64_t>> IntsAt(const Call& call, size_t index) const;
  absl::StatusOr<std::vector<int64_t>> PairAt(const Call& call, size_t index) const;
  absl::StatusOr<int64_t> AxisAt(const Call& call, size_t index, size_t dims) const;

  // ---- operators: graph_operators.cc, graph_losses.cc
  static const std::unordered_map<std::string, Handler>& Handlers();
  absl::Status Same(Call* call);
  absl::Status To(Call* call);
  absl::Status Opaque(Call* call);
  absl::Status Ignore(Call* call);
  absl::Status Is(Call* call);
  absl::Status Size(Call* call);
  absl::Status Dim(Call* call);
  absl::Status FloatType(Call* call);
  absl::Status Linear(Call* call);
  absl::Status Conv(Call* call);
  absl::Status Convolution(Call* call);
  absl::Status BatchNorm(Call* call);
  absl::Status GroupNorm(Call* call);
  absl::Status LayerNorm(Call* call);
  absl::Status MaxPool(Call* call);
  absl::Status AvgPool(Call* call);
  absl::Status AdaptiveAvgPool(Call* call);
  absl::Status Embedding(Call* call);
  absl::Status Flatten(Call* call);
  absl::Status View(Call* call);
  absl::Status Squeeze(Call* call);
  absl::Status Unsqueeze(Call* call);
  absl::Status Transpose(Call* call);
  absl::Status Dropout(Call* call);
  absl::Status Activation(Call* call);
  absl::Status HardTanh(Call* call);
  absl::Status Gelu(Call* call);
  absl::Status LeakyRelu(Call* call);
  absl::Status Softmax(Call* call);
  absl::Status Add(Call* call);
  absl::Status Multiply(Call* call);
  absl::Status Mean(Call* call);
  absl::Status BroadcastTensors(Call* call);
  absl::Status ElementLoss(Call* call);
  absl::Status BceLoss(Call* call);
  absl::Status CrossEntropy(Call* call);
  absl::Status Square(Call* call);

  absl::Status Reshape(Call* call, const BatchShape& shape);
  absl::Status Pool(Call* call, LayerKind kind, const std::vector<int64_t>& more);
  absl::Status AddConv(Call* call, const std::vector<int64_t>& pad, int64_t groups);
  absl::Status Affine(Call* call, double scale, double shift);
  absl::Status ReduceLoss(Call* call, bool sum);
  absl::Status SetLoss(Call* call, LossKind kind, uint32_t value, const BatchShape& shape,
                       int64_t reduction);
  // Appends the layer and returns its value; `in_place` changes what `input` stands for instead.
  absl::Status Emit(Call* call, Layer layer, const BatchShape& shape);
  uint32_t WithoutOnes(uint32_t value) const;

  const torch::jit::Module& module_;
  const Manifest& manifest_;
  const Mode mode_;
  std::unordered_map<const void*, uint32_t> tensor_index_;
  std::vector<Layer> layers_;
  std::vector<BatchShape> shapes_;  // of values
  std::vector<std::string> path_;   // of the modules whose methods run
  uint32_t counter_ = kNoTensor;    // counted up, for the batch norm that follows
  size_t nodes_ = 0;
};

}  // namespace fedwatt::torch_internal
