#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/graph/training_graph.h"

namespace fedwatt {
namespace {

using Shape = std::vector<int64_t>;

std::string Text(const Shape& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

// Checks one layer after the other; its errors begin with the layer's name.
class ShapeChecker {
 public:
  ShapeChecker(const TrainingGraph& graph, const BundleHeader& header)
      : graph_(graph), header_(header), tensors_(header.manifest.tensors()) {}

  absl::StatusOr<std::vector<Shape>> Run() {
    FW_RETURN_IF_ERROR(CheckInput());
    for (const Layer& layer : graph_.layers) {
      absl::StatusOr<Shape> shape = ShapeOf(layer);
      absl::Status status = shape.status();
      if (status.ok()) status = CheckSize(layer, *shape);
      if (!status.ok()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "training graph: layer ", &layer - graph_.layers.data(), " \"",
            layer.name.substr(0, 64), "\" (", LayerKindName(layer.kind), "): ", status.message()));
      }
      shapes_.push_back(*std::move(shape));
    }
    FW_RETURN_IF_ERROR(CheckLoss());
    return std::move(shapes_);
  }

 private:
  static absl::Status Bad(const std::string& what) { return absl::InvalidArgumentError(what); }

  absl::Status CheckInput() {
    const bool words = header_.input_dtype == DType::kI64;
    if (!words && header_.input_dtype != DType::kF32) {
      return Bad(absl::StrCat("training graph: examples are ", DTypeName(header_.input_dtype),
                              "; float32 and int64 can be trained on"));
    }
    uint64_t elements = 1;
    for (const int64_t dim : header_.input_shape) {
      if (dim < 1 || dim > kMaxGraphNumber ||
          (elements *= static_cast<uint64_t>(dim)) > kMaxValueElements) {
        return Bad(absl::StrCat("training graph: examples of shape ", Text(header_.input_shape),
                                ": at most ", kMaxValueElements, " elements"));
      }
    }
    shapes_.push_back(header_.input_shape);
    return absl::OkStatus();
  }

  absl::Status CheckSize(const Layer& layer, const Shape& shape) {
    if (shape.size() > bounds::kMaxDims) return Bad("too many dimensions");
    uint64_t elements = 1;
    for (const int64_t dim : shape) {
      if (dim < 1 || dim > kMaxGraphNumber) {
        return Bad(absl::StrCat("gives shape ", Text(shape), "; sizes are 1 to ", kMaxGraphNumber));
      }
      // Both factors are below 2^29: no overflow.
      if ((elements *= static_cast<uint64_t>(dim)) > kMaxValueElements) {
        return Bad(absl::StrCat("gives shape ", Text(shape), ", more than ", kMaxValueElements,
                                " elements an example"));
      }
    }
    multiply_adds_ += elements * WorkPerElement(layer);
    if (multiply_adds_ <= kMaxMultiplyAdds) return absl::OkStatus();
    return Bad(absl::StrCat("more than ", kMaxMultiplyAdds, " multiplications an example"));
  }

  // Below 2^29 by what was checked: a weight has fewer elements than that for one output.
  uint64_t WorkPerElement(const Layer& layer) const {
    if (layer.kind == LayerKind::kLinear || layer.kind == LayerKind::kConv2d) {
      const TensorSpec& weight = tensors_[layer.tensors[0]];
      return weight.Elements() / static_cast<uint64_t>(weight.shape[0]);
    }
    if (layer.kind == LayerKind::kMaxPool2d || layer.kind == LayerKind::kAvgPool2d) {
      const Shape& in = shapes_[layer.inputs[0]];
      return static_cast<uint64_t>(std::min(layer.ints[graph_at::kPoolH], in[1]) *
                                   std::min(layer.ints[graph_at::kPoolW], in[2]));
    }
    return 1;
  }

  // The float32 tensor at `slot`, which has `shape`.
  absl::Status CheckTensor(const Layer& layer, size_t slot, const Shape& shape, bool optional) {
    const uint32_t index = layer.tensors[slot];
    if (index == kNoTensor) {
      return optional ? absl::OkStatus() : Bad(absl::StrCat("tensor ", slot, " is missing"));
    }
    if (index >= tensors_.size()) {
      return Bad(absl::StrCat("names tensor ", index, " of ", tensors_.size()));
    }
    const TensorSpec& spec = tensors_[index];
    if (spec.dtype == DType::kF32 && spec.shape == shape) return absl::OkStatus();
    return Bad(absl::StrCat("tensor ", spec.name, " is ", DTypeName(spec.dtype), " ",
                            Text(spec.shape), ", expected float32 ", Text(shape)));
  }

  // Any float32 tensor of so many dimensions, each at least 1.
  absl::StatusOr<Shape> WeightShape(const Layer& layer, size_t dims) {
    const uint32_t index = layer.tensors[0];
    if (index >= tensors_.size()) {
      return Bad(absl::StrCat("names tensor ", index, " of ", tensors_.size()));
    }
    const TensorSpec& spec = tensors_[index];
    const bool positive =
        std::all_of(spec.shape.begin(), spec.shape.end(), [](int64_t dim) { return dim >= 1; });
    if (spec.dtype == DType::kF32 && spec.shape.size() == dims && positive &&
        spec.Elements() <= kMaxValueElements) {
      return spec.shape;
    }
    return Bad(absl::StrCat("tensor ", spec.name, " is ", DTypeName(spec.dtype), " ",
                            Text(spec.shape), ", expected float32 of ", dims, " dimensions"));
  }

  static absl::Status CheckNumber(const char* what, int64_t value, int64_t least,
                                  int64_t most = kMaxGraphNumber) {
    if (value >= least && value <= most) return absl::OkStatus();
    return Bad(absl::StrCat(what, " is ", value, "; it must be ", least, " to ", most));
  }

  static absl::Status CheckReal(const char* what, double value, double least, double most) {
    if (value >= least && value <= most) return absl::OkStatus();
    return Bad(absl::StrCat(what, " is ", value, "; it must be ", least, " to ", most));
  }

  static absl::Status CheckDims(const Shape& in, size_t dims) {
    if (in.size() == dims) return absl::OkStatus();
    return Bad(absl::StrCat("takes shape ", Text(in), ", expected ", dims, " dimensions"));
  }

  absl::StatusOr<Shape> ShapeOf(const Layer& layer);
  absl::StatusOr<Shape> Linear(const Layer& layer, const Shape& in);
  absl::StatusOr<Shape> Conv(const Layer& layer, const Shape& in);
  absl::StatusOr<Shape> Pool(const Layer& layer, const Shape& in);
  absl::StatusOr<Shape> BatchNorm(const Layer& layer, const Shape& in);
  absl::StatusOr<Shape> GroupNorm(const Layer& layer, const Shape& in);
  absl::StatusOr<Shape> LayerNorm(const Layer& layer, const Shape& in);
  absl::StatusOr<Shape> Embedding(const Layer& layer, const Shape& in);
  absl::StatusOr<Shape> Reshape(const Layer& layer, const Shape& in);
  absl::StatusOr<Shape> Transpose(const Layer& layer, const Shape& in);
  absl::Status CheckBuffer(const Layer& layer, size_t slot);
  absl::Status CheckLoss() const;

  const TrainingGraph& graph_;
  const BundleHeader& header_;
  const std::vector<TensorSpec>& tensors_;
  std::vector<Shape> shapes_;
  uint64_t multiply_adds_ = 0;
};

absl::StatusOr<Shape> ShapeChecker::Linear(const Layer& layer, const Shape& in) {
  FW_ASSIGN_OR_RETURN(const Shape weight, WeightShape(layer, 2));
  if (in.empty() || in.back() != weight[1]) {
    return Bad(absl::StrCat("takes shape ", Text(in), ", its weight is ", Text(weight)));
  }
  FW_RETURN_IF_ERROR(CheckTensor(layer, 1, {weight[0]}, true));
  Shape out = in;
  out.back() = weight[0];
  return out;
}

absl::StatusOr<Shape> ShapeChecker::Conv(const Layer& layer, const Shape& in) {
  using namespace graph_at;
  FW_RETURN_IF_ERROR(CheckDims(in, 3));
  FW_ASSIGN_OR_RETURN(const Shape weight, WeightShape(layer, 4));
  const int64_t groups = layer.ints[kGroups];
  FW_RETURN_IF_ERROR(CheckNumber("groups", groups, 1));
  if (in[0] % groups != 0 || weight[0] % groups != 0 || in[0] / groups != weight[1]) {
    return Bad(absl::StrCat("takes ", in[0], " channels in ", groups, " groups, its weight is ",
                            Text(weight)));
  }
  FW_RETURN_IF_ERROR(CheckTensor(layer, 1, {weight[0]}, true));
  Shape out = {weight[0], 0, 0};
  for (size_t d = 0; d < 2; ++d) {
    const int64_t stride = layer.ints[kStrideH + d];
    const int64_t pad = layer.ints[kPadH + d];
    const int64_t dilation = layer.ints[kDilationH + d];
    FW_RETURN_IF_ERROR(CheckNumber("stride", stride, 1));
    FW_RETURN_IF_ERROR(CheckNumber("padding", pad, 0));
    FW_RETURN_IF_ERROR(CheckNumber("dilation", dilation, 1));
    const int64_t reach = dilation * (weight[2 + d] - 1) + 1;
    const int64_t room = in[1 + d] + 2 * pad - reach;
    if (room < 0) {
      return Bad(absl::StrCat("its kernel reaches over ", reach, ", the padded input has ",
                              in[1 + d] + 2 * pad));
    }
    out[1 + d] = room / stride + 1;
  }
  return out;
}

absl::StatusOr<Shape> ShapeChecker::Pool(const Layer& layer, const Shape& in) {
  using namespace graph_at;
  FW_RETURN_IF_ERROR(CheckDims(in, 3));
  const bool max = layer.kind == LayerKind::kMaxPool2d;
  FW_RETURN_IF_ERROR(CheckNumber("ceil_mode", layer.ints[kPoolCeil], 0, 1));
  if (!max) FW_RETURN_IF_ERROR(CheckNumber("count_include_pad", layer.ints[kCountPadding], 0, 1));
  Shape out = {in[0], 0, 0};
  for (size_t d = 0; d < 2; ++d) {
    const int64_t kernel = layer.ints[kPoolH + d];
    const int64_t stride = layer.ints[kPoolStrideH + d];
    const int64_t pad = layer.ints[kPoolPadH + d];
    const int64_t dilation = max ? layer.ints[kPoolDilationH + d] : 1;
    FW_RETURN_IF_ERROR(CheckNumber("kernel", kernel, 1));
    FW_RETURN_IF_ERROR(CheckNumber("stride", stride, 1));
    FW_RETURN_IF_ERROR(CheckNumber("padding", pad, 0, kernel / 2));
    // With padding, a window of a dilated kernel may miss the input altogether.
    FW_RETURN_IF_ERROR(CheckNumber("dilation", dilation, 1, pad > 0 ? 1 : kMaxGraphNumber));
    const int64_t room = in[1 + d] + 2 * pad - dilation * (kernel - 1) - 1;
    if (room < 0) return Bad(absl::StrCat("its kernel is larger than the input ", Text(in)));
    const bool ceil = layer.ints[kPoolCeil] == 1;
    int64_t size = (ceil ? room + stride - 1 : room) / stride + 1;
    // A window that begins behind the input is left out, as PyTorch does.
    if (ceil && (size - 1) * stride >= in[1 + d] + pad) --size;
    out[1 + d] = size;
  }
  return out;
}

absl::Status ShapeChecker::CheckBuffer(const Layer& layer, size_t slot) {
  const uint32_t index = layer.tensors[slot];
  if (index == kNoTensor || tensors_[index].role == TensorRole::kBuffer) return absl::OkStatus();
  return Bad(
      absl::StrCat("writes running statistics to ", tensors_[index].name, ", which is trainable"));
}

absl::StatusOr<Shape> ShapeChecker::BatchNorm(const Layer& layer, const Shape& in) {
  using namespace graph_at;
  if (in.empty()) return Bad("takes a batch of single numbers");
  for (size_t slot = 0; slot < 4; ++slot) {
    FW_RETURN_IF_ERROR(CheckTensor(layer, slot, {in[0]}, true));
    if (slot >= 2) FW_RETURN_IF_ERROR(CheckBuffer(layer, slot));
  }
  const bool running = layer.tensors[2] != kNoTensor;
  if (running != (layer.tensors[3] != kNoTensor)) return Bad("has one of mean and variance");
  const bool separate = !running || layer.tensors[2] != layer.tensors[3];
  if (!separate) return Bad("has one tensor for mean and variance");
  const uint32_t counter = layer.tensors[4];
  if (counter != kNoTensor) {
    if (counter >= tensors_.size()) {
      return Bad(absl::StrCat("names tensor ", counter, " of ", tensors_.size()));
    }
    if (tensors_[counter].dtype != DType::kI64 || !tensors_[counter].shape.empty()) {
      return Bad(absl::StrCat("its counter ", tensors_[counter].name, " is no int64 scalar"));
    }
  }
  for (const size_t at : {kBatchStatsTrain, kBatchStatsEval}) {
    FW_RETURN_IF_ERROR(CheckNumber("use of batch statistics", layer.ints[at], 0, 1));
    if (layer.ints[at] == 0 && !running) return Bad("has no mean and variance to normalise by");
  }
  if (running && layer.ints[kBatchStatsEval] == 1) {
    return Bad("normalises by the batch in evaluation, and keeps running statistics");
  }
  FW_RETURN_IF_ERROR(CheckReal("momentum", layer.reals[kMomentum], 0, 1));
  FW_RETURN_IF_ERROR(CheckReal("eps", layer.reals[kBatchNormEps], 0, 1));
  return in;
}

absl::StatusOr<Shape> ShapeChecker::GroupNorm(const Layer& layer, const Shape& in) {
  if (in.empty()) return Bad("takes a batch of single numbers");
  FW_RETURN_IF_ERROR(CheckNumber("groups", layer.ints[0], 1, in[0]));
  if (in[0] % layer.ints[0] != 0) {
    return Bad(absl::StrCat(in[0], " channels in ", layer.ints[0], " groups"));
  }
  FW_RETURN_IF_ERROR(CheckReal("eps", layer.reals[0], 0, 1));
  FW_RETURN_IF_ERROR(CheckTensor(layer, 0, {in[0]}, true));
  FW_RETURN_IF_ERROR(CheckTensor(layer, 1, {in[0]}, true));
  return in;
}

absl::StatusOr<Shape> ShapeChecker::LayerNorm(const Layer& layer, const Shape& in) {
  if (in.empty()) return Bad("takes a batch of single numbers");
  FW_RETURN_IF_ERROR(CheckNumber("dimensions", layer.ints[0], 1, static_cast<int64_t>(in.size())));
  FW_RETURN_IF_ERROR(CheckReal("eps", layer.reals[0], 0, 1));
  const Shape last(in.end() - layer.ints[0], in.end());
  FW_RETURN_IF_ERROR(CheckTensor(layer, 0, last, true));
  FW_RETURN_IF_ERROR(CheckTensor(layer, 1, last, true));
  return in;
}

absl::StatusOr<Shape> ShapeChecker::Embedding(const Layer& layer, const Shape& in) {
  if (layer.inputs[0] != 0 || header_.input_dtype != DType::kI64) {
    return Bad("an embedding takes the examples themselves, of int64");
  }
  FW_ASSIGN_OR_RETURN(const Shape weight, WeightShape(layer, 2));
  FW_RETURN_IF_ERROR(CheckNumber("padding_idx", layer.ints[0], -1, weight[0] - 1));
  Shape out = in;
  out.push_back(weight[1]);
  return out;
}

absl::StatusOr<Shape> ShapeChecker::Reshape(const Layer& layer, const Shape& in) {
  uint64_t elements = 1;
  for (const int64_t dim : layer.ints) {
    FW_RETURN_IF_ERROR(CheckNumber("size", dim, 1));
    if ((elements *= static_cast<uint64_t>(dim)) > kMaxValueElements) break;
  }
  if (elements == ElementsOf(in)) return layer.ints;
  return Bad(absl::StrCat("takes shape ", Text(in), ", gives ", Text(layer.ints)));
}

absl::StatusOr<Shape> ShapeChecker::Transpose(const Layer& layer, const Shape& in) {
  Shape out = in;
  for (const int64_t axis : layer.ints) {
    FW_RETURN_IF_ERROR(CheckNumber("axis", axis, 1, static_cast<int64_t>(in.size())));
  }
  std::swap(out[static_cast<size_t>(layer.ints[0] - 1)],
            out[static_cast<size_t>(layer.ints[1] - 1)]);
  return out;
}

absl::StatusOr<Shape> ShapeChecker::ShapeOf(const Layer& layer) {
  const Shape& in = shapes_[layer.inputs[0]];
  if (layer.kind == LayerKind::kEmbedding) return Embedding(layer, in);
  for (const uint32_t input : layer.inputs) {
    if (input == 0 && header_.input_dtype != DType::kF32) {
      return Bad("takes the examples, which are int64: only an embedding can");
    }
  }
  switch (layer.kind) {
    case LayerKind::kLinear:
      return Linear(layer, in);
    case LayerKind::kConv2d:
      return Conv(layer, in);
    case LayerKind::kBatchNorm:
      return BatchNorm(layer, in);
    case LayerKind::kGroupNorm:
      return GroupNorm(layer, in);
    case LayerKind::kLayerNorm:
      return LayerNorm(layer, in);
    case LayerKind::kMaxPool2d:
    case LayerKind::kAvgPool2d:
      return Pool(layer, in);
    case LayerKind::kAdaptiveAvgPool2d:
      FW_RETURN_IF_ERROR(CheckDims(in, 3));
      return Shape{in[0], layer.ints[0], layer.ints[1]};
    case LayerKind::kReshape:
      return Reshape(layer, in);
    case LayerKind::kTranspose:
      return Transpose(layer, in);
    case LayerKind::kSoftmax:
    case LayerKind::kLogSoftmax:
      FW_RETURN_IF_ERROR(CheckNumber("axis", layer.ints[0], 1, static_cast<int64_t>(in.size())));
      return in;
    case LayerKind::kAdd:
      if (in == shapes_[layer.inputs[1]]) return in;
      return Bad(absl::StrCat("adds shapes ", Text(in), " and ", Text(shapes_[layer.inputs[1]])));
    default:
      return in;
  }
}

absl::Status ShapeChecker::CheckLoss() const {
  const Shape& in = shapes_[graph_.loss_input];
  const bool classes =
      graph_.loss.kind == LossKind::kCrossEntropy || graph_.loss.kind == LossKind::kNll;
  const Shape& output = shapes_[graph_.output];
  if (header_.task == ModelTask::kRegression) {
    if (!classes) return absl::OkStatus();
    return Bad("training graph: a regression with the loss of a classification");
  }
  const size_t dims = header_.task == ModelTask::kSequence ? 2 : 1;
  if (classes && in.size() == dims && output == in) return absl::OkStatus();
  return Bad(absl::StrCat("training graph: a ", TaskName(header_.task), " gives ", Text(output),
                          " and compares ", Text(in), "; expected ",
                          dims == 2 ? "[classes, t]" : "[classes]", " of both and cross entropy"));
}

}  // namespace

absl::StatusOr<std::vector<std::vector<int64_t>>> GraphShapes(const TrainingGraph& graph,
                                                              const BundleHeader& header) {
  return ShapeChecker(graph, header).Run();
}

}  // namespace fedwatt
