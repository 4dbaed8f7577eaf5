// What each operator of LibTorch becomes in a training graph; graph_tracer.h.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/trainers/torch/graph_tracer.h"
#include "client/trainers/torch/script_module.h"
#include "common/base/status_macros.h"

namespace fedwatt::torch_internal {
namespace {

using Kind = Symbol::Kind;

// -1: no product of sizes, or one too large to count.
int64_t Product(const BatchShape& shape) {
  int64_t product = 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(product, dim, &product)) return -1;
  }
  return product;
}

// What a convolution or a window leaves of `size`.
int64_t Windows(int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation,
                bool ceil) {
  const int64_t room = size + 2 * pad - dilation * (kernel - 1) - 1;
  if (stride < 1 || stride > kMaxGraphNumber || room < 0)
    return 0;  // GraphShapes refuses it with the reason
  int64_t windows = (ceil ? room + stride - 1 : room) / stride + 1;
  if (ceil && (windows - 1) * stride >= size + pad) --windows;
  return windows;
}

}  // namespace

// ---- emitting layers

absl::Status GraphTracer::Emit(Call* call, Layer layer, const BatchShape& shape) {
  const std::string& path = path_.back();
  layer.name = path.empty() ? LayerKindName(layer.kind) : path;
  if (layers_.size() >= kMaxGraphLayers) {
    return Refuse(absl::StrCat("more than ", kMaxGraphLayers, " layers"));
  }
  const bool view = layer.kind == LayerKind::kReshape || layer.kind == LayerKind::kTranspose;
  layers_.push_back(std::move(layer));
  shapes_.push_back(shape);
  const auto result = static_cast<uint32_t>(layers_.size());
  if (ChangesInPlace(call->node) && call->in[0].kind == Kind::kValue) {
    const std::shared_ptr<TracedValue>& changed = call->in[0].value;
    if (changed->viewed) return Refuse("it changes in place what it also uses reshaped");
    changed->value = result;
    call->out = call->in[0];
    return absl::OkStatus();
  }
  auto value = std::make_shared<TracedValue>();
  value->value = result;
  value->shape = shape;
  if (view) {
    value->viewed = true;
    if (call->in[0].kind == Kind::kValue) call->in[0].value->viewed = true;
  }
  call->out = Symbol::Of(std::move(value));
  return absl::OkStatus();
}

absl::Status GraphTracer::Reshape(Call* call, const BatchShape& shape) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  if (shape == in->shape) return Same(call);
  if (shape.empty() || shape[0] != mode_.batch) return NoCounterpart(*call, "it mixes examples");
  Layer layer{LayerKind::kReshape, "", {in->value}, {}, {shape.begin() + 1, shape.end()}, {}};
  if (layer.ints.empty()) layer.ints = {1};
  return Emit(call, std::move(layer), shape);
}

// ---- no layers

absl::Status GraphTracer::Same(Call* call) {
  call->out = call->in[0];
  return absl::OkStatus();
}

// Targets are read as what the loss compares.
absl::Status GraphTracer::To(Call* call) {
  if (call->in[0].kind == Kind::kTarget) return Same(call);
  FW_RETURN_IF_ERROR(ValueAt(*call, 0).status());
  FW_ASSIGN_OR_RETURN(const int64_t type, IntAt(*call, 1));
  return type == static_cast<int64_t>(at::kFloat) ? Same(call) : NoCounterpart(*call);
}

absl::Status GraphTracer::Opaque(Call* call) {
  call->out.kind = Kind::kOpaque;
  return absl::OkStatus();
}

absl::Status GraphTracer::Ignore(Call*) { return absl::OkStatus(); }

// Of a tensor and None: constants are compared before this.
absl::Status GraphTracer::Is(Call* call) {
  if (!call->in[0].IsNone() && !call->in[1].IsNone()) return NoCounterpart(*call);
  call->out = Symbol::Constant(call->node->kind() == c10::aten::__isnot__);
  return absl::OkStatus();
}

absl::Status GraphTracer::Size(Call* call) {
  BatchShape shape;
  const Symbol& of = call->in[0];
  if (of.kind == Kind::kValue) {
    shape = of.value->shape;
  } else if (of.kind == Kind::kTarget || of.kind == Kind::kDifference) {
    shape = of.shape;
  } else if (of.kind == Kind::kTensor) {
    shape = manifest_.tensors()[of.tensor].shape;
  } else {
    return NoCounterpart(*call);
  }
  if (call->in.size() == 1) {
    call->out = Symbol::Constant(c10::List<int64_t>(at::IntArrayRef(shape)));
    return absl::OkStatus();
  }
  FW_ASSIGN_OR_RETURN(int64_t dim, IntAt(*call, 1));
  if (dim < 0) dim += static_cast<int64_t>(shape.size());
  if (dim < 0 || dim >= static_cast<int64_t>(shape.size())) return NoCounterpart(*call);
  call->out = Symbol::Constant(shape[static_cast<size_t>(dim)]);
  return absl::OkStatus();
}

absl::Status GraphTracer::Dim(Call* call) {
  FW_RETURN_IF_ERROR(Size(call));
  call->out = Symbol::Constant(static_cast<int64_t>(call->out.constant.toListRef().size()));
  return absl::OkStatus();
}

// Of results of layers: the targets' is not known.
absl::Status GraphTracer::FloatType(Call* call) {
  if (call->in[0].kind != Kind::kValue || call->in[0].value->value == 0) {
    return NoCounterpart(*call);
  }
  call->out = Symbol::Constant(static_cast<int64_t>(at::kFloat));
  return absl::OkStatus();
}

// ---- layers with tensors

absl::Status GraphTracer::Linear(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  Layer layer{LayerKind::kLinear, "", {in->value}, {}, {}, {}};
  for (const size_t i : {1, 2}) {
    FW_ASSIGN_OR_RETURN(const uint32_t tensor, TensorAt(*call, i));
    layer.tensors.push_back(tensor);
  }
  if (layer.tensors[0] == kNoTensor) return NoCounterpart(*call);
  BatchShape shape = in->shape;
  shape.back() = manifest_.tensors()[layer.tensors[0]].shape.at(0);
  return Emit(call, std::move(layer), shape);
}

// input, weight, bias, stride, padding, dilation, groups
absl::Status GraphTracer::Conv(Call* call) {
  FW_ASSIGN_OR_RETURN(const int64_t groups, IntAt(*call, 6));
  const Symbol& padding = call->in[4];
  if (padding.kind != Kind::kConstant || !padding.constant.isString()) {
    FW_ASSIGN_OR_RETURN(const std::vector<int64_t> pad, PairAt(*call, 4));
    return AddConv(call, pad, groups);
  }
  if (padding.constant.toStringRef() == "valid") return AddConv(call, {0, 0}, groups);
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> dilation, PairAt(*call, 5));
  FW_ASSIGN_OR_RETURN(const uint32_t weight, TensorAt(*call, 1));
  std::vector<int64_t> pad;
  for (size_t d = 0; d < 2; ++d) {
    const int64_t reach = dilation[d] * (manifest_.tensors()[weight].shape.at(2 + d) - 1);
    if (reach % 2 != 0) return NoCounterpart(*call, "padding \"same\" of an even kernel");
    pad.push_back(reach / 2);
  }
  return AddConv(call, pad, groups);
}

// ..., transposed, output_padding, groups, ...
absl::Status GraphTracer::Convolution(Call* call) {
  FW_ASSIGN_OR_RETURN(const int64_t transposed, IntAt(*call, 6));
  if (transposed != 0) return NoCounterpart(*call, "transposed");
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> pad, PairAt(*call, 4));
  FW_ASSIGN_OR_RETURN(const int64_t groups, IntAt(*call, 8));
  return AddConv(call, pad, groups);
}

absl::Status GraphTracer::AddConv(Call* call, const std::vector<int64_t>& pad, int64_t groups) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const uint32_t weight, TensorAt(*call, 1));
  FW_ASSIGN_OR_RETURN(const uint32_t bias, TensorAt(*call, 2));
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> stride, PairAt(*call, 3));
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> dilation, PairAt(*call, 5));
  if (weight == kNoTensor || in->shape.size() != 4) {
    return NoCounterpart(*call, "for other than images in batches");
  }
  const std::vector<int64_t>& kernel = manifest_.tensors()[weight].shape;
  if (kernel.size() != 4) return NoCounterpart(*call, "for other than images in batches");
  BatchShape shape = {mode_.batch, kernel[0], 0, 0};
  for (size_t d = 0; d < 2; ++d) {
    shape[2 + d] = Windows(in->shape[2 + d], kernel[2 + d], stride[d], pad[d], dilation[d], false);
  }
  Layer layer{LayerKind::kConv2d,
              "",
              {in->value},
              {weight, bias},
              {stride[0], stride[1], pad[0], pad[1], dilation[0], dilation[1], groups},
              {}};
  return Emit(call, std::move(layer), shape);
}

// input, weight, bias, mean, variance, training, momentum, eps, cudnn
absl::Status GraphTracer::BatchNorm(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const int64_t own, IntAt(*call, 5));
  FW_ASSIGN_OR_RETURN(const double momentum, RealAt(*call, 6));
  FW_ASSIGN_OR_RETURN(const double eps, RealAt(*call, 7));
  Layer layer{LayerKind::kBatchNorm, "", {in->value}, {}, {own, own}, {momentum, eps}};
  for (size_t i = 1; i <= 4; ++i) {
    FW_ASSIGN_OR_RETURN(const uint32_t tensor, TensorAt(*call, i));
    layer.tensors.push_back(tensor);
  }
  layer.tensors.push_back(std::exchange(counter_, kNoTensor));
  return Emit(call, std::move(layer), in->shape);
}

// input, groups, weight, bias, eps, cudnn
absl::Status GraphTracer::GroupNorm(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const int64_t groups, IntAt(*call, 1));
  FW_ASSIGN_OR_RETURN(const uint32_t weight, TensorAt(*call, 2));
  FW_ASSIGN_OR_RETURN(const uint32_t bias, TensorAt(*call, 3));
  FW_ASSIGN_OR_RETURN(const double eps, RealAt(*call, 4));
  return Emit(call, {LayerKind::kGroupNorm, "", {in->value}, {weight, bias}, {groups}, {eps}},
              in->shape);
}

// input, shape, weight, bias, eps, cudnn
absl::Status GraphTracer::LayerNorm(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> last, IntsAt(*call, 1));
  FW_ASSIGN_OR_RETURN(const uint32_t weight, TensorAt(*call, 2));
  FW_ASSIGN_OR_RETURN(const uint32_t bias, TensorAt(*call, 3));
  FW_ASSIGN_OR_RETURN(const double eps, RealAt(*call, 4));
  const auto dims = static_cast<int64_t>(last.size());
  return Emit(call, {LayerKind::kLayerNorm, "", {in->value}, {weight, bias}, {dims}, {eps}},
              in->shape);
}

// weight, words, padding_idx, scale_grad_by_freq, sparse
absl::Status GraphTracer::Embedding(Call* call) {
  FW_ASSIGN_OR_RETURN(const uint32_t weight, TensorAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 1));
  int64_t padding = -1;
  if (call->in.size() > 2) {
    FW_ASSIGN_OR_RETURN(padding, IntAt(*call, 2));
  }
  if (call->in.size() > 3) {
    FW_ASSIGN_OR_RETURN(const int64_t scaled, IntAt(*call, 3));
    if (scaled != 0) return NoCounterpart(*call, "with scale_grad_by_freq");
  }
  if (weight == kNoTensor) return NoCounterpart(*call);
  BatchShape shape = in->shape;
  shape.push_back(manifest_.tensors()[weight].shape.back());
  return Emit(call, {LayerKind::kEmbedding, "", {in->value}, {weight}, {padding}, {}}, shape);
}

// ---- windows

absl::Status GraphTracer::Pool(Call* call, LayerKind kind, const std::vector<int64_t>& more) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  if (in->shape.size() != 4) return NoCounterpart(*call, "for other than images in batches");
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> kernel, PairAt(*call, 1));
  FW_ASSIGN_OR_RETURN(std::vector<int64_t> stride, IntsAt(*call, 2));
  if (stride.empty()) stride = kernel;
  if (stride.size() == 1) stride.push_back(stride[0]);
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> pad, PairAt(*call, 3));
  const bool max = kind == LayerKind::kMaxPool2d;
  FW_ASSIGN_OR_RETURN(const int64_t ceil, IntAt(*call, max ? 5 : 4));
  Layer layer{kind, "", {in->value}, {}, {}, {}};
  layer.ints = {kernel[0], kernel[1], stride[0], stride[1], pad[0], pad[1], ceil};
  layer.ints.insert(layer.ints.end(), more.begin(), more.end());
  BatchShape shape = in->shape;
  for (size_t d = 0; d < 2; ++d) {
    shape[2 + d] =
        Windows(shape[2 + d], kernel[d], stride[d], pad[d], max ? more[d] : 1, ceil != 0);
  }
  return Emit(call, std::move(layer), shape);
}

// input, kernel, stride, padding, dilation, ceil_mode
absl::Status GraphTracer::MaxPool(Call* call) {
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> dilation, PairAt(*call, 4));
  return Pool(call, LayerKind::kMaxPool2d, dilation);
}

// input, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
absl::Status GraphTracer::AvgPool(Call* call) {
  FW_ASSIGN_OR_RETURN(const int64_t counts_padding, IntAt(*call, 5));
  if (!call->in[6].IsNone()) return NoCounterpart(*call, "with divisor_override");
  return Pool(call, LayerKind::kAvgPool2d, {counts_padding});
}

absl::Status GraphTracer::AdaptiveAvgPool(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  if (in->shape.size() != 4) return NoCounterpart(*call, "for other than images in batches");
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> size, PairAt(*call, 1));
  return Emit(call, {LayerKind::kAdaptiveAvgPool2d, "", {in->value}, {}, size, {}},
              {mode_.batch, in->shape[1], size[0], size[1]});
}

// ---- shapes

absl::Status GraphTracer::Flatten(Call* call) {
  BatchShape* shape = &call->in[0].shape;
  if (call->in[0].kind == Kind::kValue) shape = &call->in[0].value->shape;
  if (call->in[0].kind == Kind::kLoss) shape = &call->in[0].loss.shape;
  const auto dims = static_cast<int64_t>(shape->size());
  int64_t first = 0, last = -1;
  if (call->in.size() > 1) {
    FW_ASSIGN_OR_RETURN(first, IntAt(*call, 1));
  }
  if (call->in.size() > 2) {
    FW_ASSIGN_OR_RETURN(last, IntAt(*call, 2));
  }
  if (first < 0) first += dims;
  if (last < 0) last += dims;
  if (first < 0 || last >= dims || first > last) return NoCounterpart(*call);
  BatchShape flat(shape->begin(), shape->begin() + first);
  flat.push_back(Product({shape->begin() + first, shape->begin() + last + 1}));
  flat.insert(flat.end(), shape->begin() + last + 1, shape->end());
  if (call->in[0].kind == Kind::kValue) return Reshape(call, flat);
  call->out = call->in[0];
  (call->out.kind == Kind::kLoss ? call->out.loss.shape : call->out.shape) = flat;
  return flat[0] == mode_.batch ? absl::OkStatus() : NoCounterpart(*call, "it mixes examples");
}

absl::Status GraphTracer::View(Call* call) {
  FW_ASSIGN_OR_RETURN(BatchShape wanted, IntsAt(*call, 1));
  BatchShape shape = call->in[0].shape;
  if (call->in[0].kind == Kind::kValue) shape = call->in[0].value->shape;
  if (call->in[0].kind == Kind::kLoss) shape = call->in[0].loss.shape;
  const int64_t elements = Product(shape);
  for (int64_t& dim : wanted) {
    if (dim != -1) continue;
    dim = 1;
    const int64_t known = Product(wanted);
    dim = known > 0 ? elements / known : -1;
  }
  if (elements < 0 || Product(wanted) != elements || wanted.empty() || wanted[0] != mode_.batch) {
    return NoCounterpart(*call, "it mixes examples");
  }
  if (call->in[0].kind == Kind::kValue) return Reshape(call, wanted);
  call->out = call->in[0];
  if (call->out.kind != Kind::kLoss && call->out.kind != Kind::kTarget) return NoCounterpart(*call);
  (call->out.kind == Kind::kLoss ? call->out.loss.shape : call->out.shape) = wanted;
  return absl::OkStatus();
}

absl::Status GraphTracer::Squeeze(Call* call) {
  BatchShape shape = call->in[0].shape;
  if (call->in[0].kind == Kind::kValue) shape = call->in[0].value->shape;
  if (call->in[0].kind == Kind::kLoss) shape = call->in[0].loss.shape;
  if (call->in.size() == 1) {
    shape = DropOnes(shape);
  } else {
    FW_ASSIGN_OR_RETURN(const int64_t axis, AxisAt(*call, 1, shape.size()));
    if (shape[static_cast<size_t>(axis)] == 1) shape.erase(shape.begin() + axis);
  }
  call->in.resize(1);
  call->in.push_back(Symbol::Constant(c10::List<int64_t>(at::IntArrayRef(shape))));
  return View(call);
}

absl::Status GraphTracer::Unsqueeze(Call* call) {
  BatchShape shape = call->in[0].shape;
  if (call->in[0].kind == Kind::kValue) shape = call->in[0].value->shape;
  FW_ASSIGN_OR_RETURN(const int64_t axis, AxisAt(*call, 1, shape.size() + 1));
  shape.insert(shape.begin() + axis, 1);
  call->in[1] = Symbol::Constant(c10::List<int64_t>(at::IntArrayRef(shape)));
  return View(call);
}

absl::Status GraphTracer::Transpose(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const int64_t a, AxisAt(*call, 1, in->shape.size()));
  FW_ASSIGN_OR_RETURN(const int64_t b, AxisAt(*call, 2, in->shape.size()));
  BatchShape shape = in->shape;
  std::swap(shape[static_cast<size_t>(a)], shape[static_cast<size_t>(b)]);
  return Emit(call, {LayerKind::kTranspose, "", {in->value}, {}, {a, b}, {}}, shape);
}

// ---- one number at a time

// input, p, train
absl::Status GraphTracer::Dropout(Call* call) {
  FW_ASSIGN_OR_RETURN(const double p, RealAt(*call, 1));
  FW_ASSIGN_OR_RETURN(const int64_t training, IntAt(*call, 2));
  if (p == 0 || training == 0) return Same(call);
  return Refuse(absl::StrCat("dropout with p = ", p,
                             " draws from LibTorch's random numbers, which "
                             "no other trainer repeats"));
}

absl::Status GraphTracer::Activation(Call* call) {
  static const std::unordered_map<std::string, LayerKind> kKinds = {
      {"relu", LayerKind::kRelu},       {"relu6", LayerKind::kRelu6}, {"tanh", LayerKind::kTanh},
      {"sigmoid", LayerKind::kSigmoid}, {"silu", LayerKind::kSilu},
  };
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  return Emit(call, {kKinds.at(PlainName(call->node)), "", {in->value}, {}, {}, {}}, in->shape);
}

// input, least, most
absl::Status GraphTracer::HardTanh(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const double least, RealAt(*call, 1));
  FW_ASSIGN_OR_RETURN(const double most, RealAt(*call, 2));
  if (least != 0 || most != 6) return NoCounterpart(*call, "from other than 0 to 6");
  return Emit(call, {LayerKind::kRelu6, "", {in->value}, {}, {}, {}}, in->shape);
}

absl::Status GraphTracer::Gelu(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  LayerKind kind = LayerKind::kGelu;
  if (call->in.size() > 1) {
    const Symbol& form = call->in[1];
    if (form.kind != Kind::kConstant || !form.constant.isString()) return NoCounterpart(*call);
    if (form.constant.toStringRef() == "tanh") kind = LayerKind::kGeluTanh;
  }
  return Emit(call, {kind, "", {in->value}, {}, {}, {}}, in->shape);
}

absl::Status GraphTracer::LeakyRelu(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const double slope, RealAt(*call, 1));
  if (slope < 0) return NoCounterpart(*call, "with a negative slope");
  return Emit(call, {LayerKind::kLeakyRelu, "", {in->value}, {}, {}, {slope}}, in->shape);
}

absl::Status GraphTracer::Softmax(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const int64_t axis, AxisAt(*call, 1, in->shape.size()));
  const LayerKind kind =
      PlainName(call->node) == "softmax" ? LayerKind::kSoftmax : LayerKind::kLogSoftmax;
  return Emit(call, {kind, "", {in->value}, {}, {axis}, {}}, in->shape);
}

absl::Status GraphTracer::Affine(Call* call, double scale, double shift) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  return Emit(call, {LayerKind::kAffine, "", {in->value}, {}, {}, {scale, shift}}, in->shape);
}

// a + alpha b and a - alpha b, where b is a value, a number, the targets, or a count of batches.
absl::Status GraphTracer::Add(Call* call) {
  double alpha = 1;
  if (call->in.size() > 2) {
    FW_ASSIGN_OR_RETURN(alpha, RealAt(*call, 2));
  }
  if (PlainName(call->node) == "sub") alpha = -alpha;
  const Symbol &a = call->in[0], &b = call->in[1];
  if (a.kind == Kind::kTensor && b.kind == Kind::kConstant && b.constant.isInt() &&
      static_cast<double>(b.constant.toInt()) * alpha == 1 &&
      manifest_.tensors()[a.tensor].dtype == DType::kI64) {
    call->out.kind = Kind::kCount;
    call->out.tensor = a.tensor;
    if (ChangesInPlace(call->node)) counter_ = a.tensor;
    return absl::OkStatus();
  }
  const bool difference = alpha == -1 && ((a.kind == Kind::kValue && b.kind == Kind::kTarget) ||
                                          (a.kind == Kind::kTarget && b.kind == Kind::kValue));
  if (difference) {
    const Symbol& value = a.kind == Kind::kValue ? a : b;
    const Symbol& target = a.kind == Kind::kValue ? b : a;
    if (value.value->shape != target.shape) return NoCounterpart(*call, "of unequal shapes");
    call->out.kind = Kind::kDifference;
    call->out.value = std::make_shared<TracedValue>(*value.value);
    call->out.shape = target.shape;
    return absl::OkStatus();
  }
  if (b.kind == Kind::kConstant) {
    FW_ASSIGN_OR_RETURN(const double number, RealAt(*call, 1));
    return Affine(call, 1, alpha * number);
  }
  FW_ASSIGN_OR_RETURN(const auto left, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const auto right, ValueAt(*call, 1));
  if (left->shape != right->shape) return NoCounterpart(*call, "of unequal shapes");
  return Emit(call, {LayerKind::kAdd, "", {left->value, right->value}, {}, {}, {alpha}},
              left->shape);
}

absl::Status GraphTracer::Multiply(Call* call) {
  if (call->in[1].kind != Kind::kConstant || call->in.size() > 2) return NoCounterpart(*call);
  FW_ASSIGN_OR_RETURN(const double number, RealAt(*call, 1));
  return Affine(call, PlainName(call->node) == "mul" ? number : 1 / number, 0);
}

// Of a loss, or over the pixels of images.
absl::Status GraphTracer::Mean(Call* call) {
  if (call->in[0].kind == Kind::kLoss) return ReduceLoss(call, PlainName(call->node) == "sum");
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  if (PlainName(call->node) != "mean" || call->in.size() < 3) return NoCounterpart(*call);
  FW_ASSIGN_OR_RETURN(std::vector<int64_t> dims, IntsAt(*call, 1));
  FW_ASSIGN_OR_RETURN(const int64_t keep, IntAt(*call, 2));
  for (int64_t& dim : dims) dim += dim < 0 ? 4 : 0;
  std::sort(dims.begin(), dims.end());
  if (in->shape.size() != 4 || dims != std::vector<int64_t>{2, 3}) {
    return NoCounterpart(*call, "over other than the pixels of images");
  }
  const BatchShape pooled = {mode_.batch, in->shape[1], 1, 1};
  FW_RETURN_IF_ERROR(
      Emit(call, {LayerKind::kAdaptiveAvgPool2d, "", {in->value}, {}, {1, 1}, {}}, pooled));
  if (keep != 0) return absl::OkStatus();
  call->in[0] = call->out;
  return Reshape(call, {mode_.batch, in->shape[1]});
}

// ---- the table

const std::unordered_map<std::string, GraphTracer::Handler>& GraphTracer::Handlers() {
  using T = GraphTracer;
  static const std::pair<const char*, Handler> kByName[] = {
      {"aten::contiguous aten::alias aten::type_as aten::_unwrap_optional "
       "prim::unchecked_cast prim::unchecked_unwrap_optional",
       &T::Same},
      {"aten::to", &T::To},
      {"aten::warn", &T::Ignore},
      {"prim::Uninitialized aten::zeros aten::zeros_like aten::ones prim::device", &T::Opaque},
      {"aten::__is__ aten::__isnot__", &T::Is},
      {"aten::size", &T::Size},
      {"aten::dim", &T::Dim},
      {"prim::dtype", &T::FloatType},
      {"aten::linear", &T::Linear},
      {"aten::conv2d", &T::Conv},
      {"aten::_convolution aten::convolution", &T::Convolution},
      {"aten::batch_norm", &T::BatchNorm},
      {"aten::group_norm", &T::GroupNorm},
      {"aten::layer_norm", &T::LayerNorm},
      {"aten::max_pool2d", &T::MaxPool},
      {"aten::avg_pool2d", &T::AvgPool},
      {"aten::adaptive_avg_pool2d", &T::AdaptiveAvgPool},
      {"aten::embedding", &T::Embedding},
      {"aten::flatten", &T::Flatten},
      {"aten::view aten::reshape", &T::View},
      {"aten::squeeze", &T::Squeeze},
      {"aten::unsqueeze", &T::Unsqueeze},
      {"aten::transpose", &T::Transpose},
      {"aten::dropout aten::dropout_ aten::feature_dropout", &T::Dropout},
      {"aten::relu aten::relu_ aten::relu6 aten::relu6_ aten::tanh aten::tanh_ "
       "aten::sigmoid aten::sigmoid_ aten::silu aten::silu_",
       &T::Activation},
      {"aten::hardtanh aten::hardtanh_", &T::HardTanh},
      {"aten::gelu", &T::Gelu},
      {"aten::leaky_relu aten::leaky_relu_", &T::LeakyRelu},
      {"aten::softmax aten::log_softmax", &T::Softmax},
      {"aten::add aten::add_ aten::sub aten::sub_", &T::Add},
      {"aten::mul aten::mul_ aten::div aten::div_", &T::Multiply},
      {"aten::mean aten::sum", &T::Mean},
      {"aten::broadcast_tensors", &T::BroadcastTensors},
      {"aten::mse_loss aten::l1_loss", &T::ElementLoss},
      {"aten::binary_cross_entropy_with_logits", &T::BceLoss},
      {"aten::cross_entropy_loss aten::nll_loss aten::nll_loss_nd "
       "aten::nll_loss2d",
       &T::CrossEntropy},
      {"aten::square aten::pow aten::abs", &T::Square},
  };
  static const auto* const handlers = [] {
    auto* map = new std::unordered_map<std::string, Handler>;
    for (const auto& [names, handler] : kByName) {
      const std::vector<std::string> list = absl::StrSplit(names, ' ');
      for (const std::string& name : list) (*map)[name] = handler;
    }
    return map;
  }();
  return *handlers;
}

}  // namespace fedwatt::torch_internal
