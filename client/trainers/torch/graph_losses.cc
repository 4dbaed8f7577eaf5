// Losses, as they become those of a training graph; graph_tracer.h.

#include <algorithm>
#include <utility>

#include "client/trainers/torch/graph_tracer.h"
#include "client/trainers/torch/script_module.h"
#include "common/base/status_macros.h"

namespace fedwatt::torch_internal {
namespace {

using Kind = Symbol::Kind;

}  // namespace

absl::Status GraphTracer::ReduceLoss(Call* call, bool sum) {
  TracedLoss loss = call->in[0].loss;
  std::vector<int64_t> dims;
  if (call->in.size() > 2) {
    FW_ASSIGN_OR_RETURN(dims, IntsAt(*call, 1));
    FW_ASSIGN_OR_RETURN(const int64_t keep, IntAt(*call, 2));
    if (keep != 0) return NoCounterpart(*call, "with keepdim");
  }
  const auto rank = static_cast<int64_t>(loss.shape.size());
  if (dims.empty()) {
    for (int64_t d = 0; d < rank; ++d) dims.push_back(d);
  }
  for (int64_t& dim : dims) dim += dim < 0 ? rank : 0;
  std::sort(dims.rbegin(), dims.rend());
  const LossReduction reduction =
      sum ? LossReduction::kSumPerExample : LossReduction::kMeanPerExample;
  if (loss.reduced && loss.spec.reduction != reduction) return NoCounterpart(*call, "mean of sums");
  const bool classes =
      loss.spec.kind == LossKind::kCrossEntropy || loss.spec.kind == LossKind::kNll;
  for (const int64_t dim : dims) {
    if (dim < 0 || dim >= rank) return NoCounterpart(*call);
    // The mean of a batch leaves out what targets ignore; a mean of their zeros does not.
    if (dim == 0 && (sum || classes)) {
      return NoCounterpart(*call, "over the examples; return one loss per example");
    }
    loss.shape.erase(loss.shape.begin() + dim);
    loss.spec.reduction = dim == 0 ? LossReduction::kMeanOfBatch : reduction;
  }
  loss.reduced = true;
  call->out.kind = Kind::kLoss;
  call->out.loss = loss;
  return absl::OkStatus();
}

// `reduction`: LibTorch's 0 (none), 1 (mean), 2 (sum).
absl::Status GraphTracer::SetLoss(Call* call, LossKind kind, uint32_t value,
                                  const BatchShape& shape, int64_t reduction) {
  if (reduction == 2) return NoCounterpart(*call, "with the sum over a batch");
  call->out = Symbol();
  call->out.kind = Kind::kLoss;
  call->out.loss.spec.kind = kind;
  call->out.loss.value = value;
  if (reduction == 0) {
    call->out.loss.shape = shape;
  } else {
    call->out.loss.spec.reduction = LossReduction::kMeanOfBatch;
    call->out.loss.reduced = true;
  }
  return absl::OkStatus();
}

absl::Status GraphTracer::BroadcastTensors(Call* call) {
  const Symbol& list = call->in[0];
  if (list.kind != Kind::kList || list.items.size() != 2) return NoCounterpart(*call);
  const auto shape_of = [](const Symbol& s) {
    return s.kind == Kind::kValue ? s.value->shape : s.shape;
  };
  if (shape_of(list.items[0]) != shape_of(list.items[1])) {
    return NoCounterpart(*call, "of unequal shapes");
  }
  return Same(call);
}

// mse_loss, l1_loss: input, target, reduction
absl::Status GraphTracer::ElementLoss(Call* call) {
  if (call->in[0].kind == Kind::kTarget) std::swap(call->in[0], call->in[1]);
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const int64_t reduction, IntAt(*call, 2));
  const Symbol& target = call->in[1];
  if (target.kind != Kind::kTarget || target.shape != in->shape) {
    return NoCounterpart(*call, "of other than an output and targets of its shape");
  }
  const LossKind kind = PlainName(call->node) == "l1_loss" ? LossKind::kL1 : LossKind::kMse;
  return SetLoss(call, kind, in->value, in->shape, reduction);
}

// input, target, weight, pos_weight, reduction
absl::Status GraphTracer::BceLoss(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const int64_t reduction, IntAt(*call, 4));
  const Symbol& target = call->in[1];
  if (target.kind != Kind::kTarget || target.shape != in->shape) {
    return NoCounterpart(*call, "of other than an output and targets of its shape");
  }
  if (!call->in[2].IsNone() || !call->in[3].IsNone()) return NoCounterpart(*call, "with weights");
  return SetLoss(call, LossKind::kBceWithLogits, in->value, in->shape, reduction);
}

// The value of which `value` is a view that only adds or drops dimensions of one.
uint32_t GraphTracer::WithoutOnes(uint32_t value) const {
  while (value > 0 && layers_[value - 1].kind == LayerKind::kReshape) {
    const uint32_t below = layers_[value - 1].inputs[0];
    if (DropOnes(shapes_[below]) != DropOnes(shapes_[value])) {
      break;
    }
    value = below;
  }
  return value;
}

// cross_entropy_loss and nll_loss: input, target, weight, reduction, ignore_index, label_smoothing
absl::Status GraphTracer::CrossEntropy(Call* call) {
  FW_ASSIGN_OR_RETURN(const auto in, ValueAt(*call, 0));
  FW_ASSIGN_OR_RETURN(const int64_t reduction, IntAt(*call, 3));
  FW_ASSIGN_OR_RETURN(const int64_t ignored, IntAt(*call, 4));
  const Symbol& target = call->in[1];
  BatchShape compared = in->shape;
  if (compared.size() < 2) return NoCounterpart(*call, "of one example");
  compared.erase(compared.begin() + 1);
  if (target.kind != Kind::kTarget || target.shape != compared) {
    return NoCounterpart(*call, "of other than scores and classes");
  }
  if (!call->in[2].IsNone()) return NoCounterpart(*call, "with weights of classes");
  if (call->in.size() > 5) {
    FW_ASSIGN_OR_RETURN(const double smoothing, RealAt(*call, 5));
    if (smoothing != 0) return NoCounterpart(*call, "with label_smoothing");
  }
  const bool scores = PlainName(call->node) == "cross_entropy_loss";
  uint32_t value = WithoutOnes(in->value);
  LossKind kind = scores ? LossKind::kCrossEntropy : LossKind::kNll;
  const bool log_softmax = value > 0 && layers_[value - 1].kind == LayerKind::kLogSoftmax &&
                           layers_[value - 1].ints[0] == 1;
  // Fused: exact also where a probability is zero.
  if (kind == LossKind::kNll && log_softmax) {
    kind = LossKind::kCrossEntropy;
    value = layers_[value - 1].inputs[0];
  }
  FW_RETURN_IF_ERROR(SetLoss(call, kind, value, compared, reduction));
  call->out.loss.spec.ignore_index = ignored;
  return absl::OkStatus();
}

// Of the difference of an output and the targets: square, x ** 2, abs.
absl::Status GraphTracer::Square(Call* call) {
  const std::string name = PlainName(call->node);
  if (call->in[0].kind != Kind::kDifference) return NoCounterpart(*call);
  if (name == "pow") {
    FW_ASSIGN_OR_RETURN(const double power, RealAt(*call, 1));
    if (power != 2) return NoCounterpart(*call);
  }
  const uint32_t value = call->in[0].value->value;
  const BatchShape shape = call->in[0].shape;
  return SetLoss(call, name == "abs" ? LossKind::kL1 : LossKind::kMse, value, shape, 0);
}

}  // namespace fedwatt::torch_internal
