#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/graph/training_graph.h"

namespace fedwatt {

// A model of one example [2, 4, 4] and three classes, with a layer of every family, and its header.
struct SmallGraph {
  BundleHeader header;
  TrainingGraph graph;
};

inline BundleHeader SmallGraphHeader() {
  const auto trainable = [](const char* name, std::vector<int64_t> shape) {
    return TensorSpec{name, DType::kF32, std::move(shape), TensorRole::kTrainable};
  };
  const auto buffer = [](const char* name, DType dtype, std::vector<int64_t> shape) {
    return TensorSpec{name, dtype, std::move(shape), TensorRole::kBuffer};
  };
  BundleHeader header;
  header.name = "small";
  header.input_shape = {2, 4, 4};
  header.manifest = *Manifest::Create(
      {trainable("conv.weight", {4, 1, 3, 3}), trainable("conv.bias", {4}),
       trainable("bn.weight", {4}), trainable("bn.bias", {4}), trainable("gn.weight", {4}),
       trainable("gn.bias", {4}), trainable("fc.weight", {3, 16}), trainable("fc.bias", {3}),
       buffer("bn.mean", DType::kF32, {4}), buffer("bn.var", DType::kF32, {4}),
       buffer("bn.count", DType::kI64, {})});
  return header;
}

inline SmallGraph MakeSmallGraph() {
  SmallGraph small{SmallGraphHeader(), {}};
  small.graph.layers = {
      {LayerKind::kConv2d, "conv", {0}, {0, 1}, {1, 1, 1, 1, 1, 1, 2}, {}},
      {LayerKind::kBatchNorm, "bn", {1}, {2, 3, 8, 9, 10}, {1, 0}, {0.1, 1e-5}},
      {LayerKind::kGelu, "gelu", {2}, {}, {}, {}},
      {LayerKind::kGroupNorm, "gn", {3}, {4, 5}, {2}, {1e-5}},
      {LayerKind::kAdd, "add", {4, 2}, {}, {}, {1}},
      {LayerKind::kMaxPool2d, "pool", {5}, {}, {2, 2, 2, 2, 0, 0, 0, 1, 1}, {}},
      {LayerKind::kReshape, "flatten", {6}, {}, {16}, {}},
      {LayerKind::kLinear, "fc", {7}, {6, 7}, {}, {}},
  };
  small.graph.output = small.graph.loss_input = 8;
  return small;
}

}  // namespace fedwatt
