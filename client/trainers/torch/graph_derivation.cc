#include "client/trainers/torch/graph_derivation.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/trainers/torch/graph_tracer.h"
#include "common/base/status_macros.h"

namespace fedwatt::torch_internal {
namespace {

// Primes that no dimension of a model is likely to have: what is one of them is the batch.
constexpr int64_t kBatches[] = {15'485'863, 32'452'843};

// What one walk found.
struct Walk {
  std::vector<Layer> layers;
  uint32_t output = 0;
  uint32_t loss_input = 0;
  LossSpec loss;
  BatchShape output_shape;
};

absl::Status Unlike(const std::string& what) {
  return absl::UnimplementedError(absl::StrCat("the model: ", what));
}

BatchShape TargetShape(ModelTask task, const BatchShape& output) {
  BatchShape shape = output;
  if (task != ModelTask::kRegression && shape.size() > 1) shape.erase(shape.begin() + 1);
  return shape;
}

absl::Status TakeLoss(const Symbol& result, int64_t batch, Walk* walk) {
  const TracedLoss& loss = result.loss;
  const bool fits =
      result.kind == Symbol::Kind::kLoss &&
      (loss.spec.reduction == LossReduction::kMeanOfBatch ? loss.shape.empty()
                                                          : loss.shape == BatchShape{batch});
  if (!fits) return Unlike("loss is not made of one known loss per example, or of their mean");
  walk->loss = loss.spec;
  walk->loss_input = loss.value;
  return absl::OkStatus();
}

bool BeginsWith(const std::vector<Layer>& whole, const std::vector<Layer>& part) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

// loss_from_output of what forward gave must be the same loss.
absl::Status CheckLossFromOutput(GraphTracer* tracer, const Symbol& output, const Symbol& target,
                                 const Walk& walk) {
  FW_ASSIGN_OR_RETURN(const Symbol result,
                      tracer->CallMethod("loss_from_output", {output, target}));
  Walk other;
  FW_RETURN_IF_ERROR(TakeLoss(result, tracer->batch(), &other));
  if (other.loss == walk.loss && other.loss_input == walk.loss_input) return absl::OkStatus();
  return Unlike("loss_from_output is not the loss that loss computes");
}

absl::StatusOr<Walk> WalkOnce(const torch::jit::Module& module, const BundleHeader& header,
                              const GraphTracer::Mode& mode) {
  Walk walk;
  GraphTracer forward(module, header.manifest, mode);
  FW_ASSIGN_OR_RETURN(const Symbol output, forward.CallMethod(header.forward_method,
                                                              {forward.Input(header.input_shape)}));
  if (output.kind != Symbol::Kind::kValue || output.value->value == 0) {
    return Unlike("forward returns no result of a layer");
  }
  walk.output = output.value->value;
  walk.output_shape = output.value->shape;
  const Symbol target = GraphTracer::Target(TargetShape(header.task, walk.output_shape));
  const std::vector<Layer> layers = forward.layers();

  GraphTracer loss(module, header.manifest, mode);
  FW_ASSIGN_OR_RETURN(
      const Symbol result,
      loss.CallMethod(header.loss_method, {loss.Input(header.input_shape), target}));
  FW_RETURN_IF_ERROR(TakeLoss(result, mode.batch, &walk));
  walk.layers = loss.layers();
  if (!BeginsWith(walk.layers, layers)) return Unlike("loss does not begin with what forward does");
  const size_t needed = std::max<size_t>(layers.size(), walk.loss_input);
  walk.layers.resize(needed);
  if (HasMethod(module, "loss_from_output", 2)) {
    FW_RETURN_IF_ERROR(CheckLossFromOutput(&forward, output, target, walk));
  }
  return walk;
}

// Training and evaluation may differ in what batch norm normalises by.
absl::Status Merge(const Walk& evaluation, Walk* training) {
  bool same = training->layers.size() == evaluation.layers.size() &&
              training->output == evaluation.output && training->loss == evaluation.loss &&
              training->loss_input == evaluation.loss_input;
  for (size_t i = 0; same && i < training->layers.size(); ++i) {
    Layer& layer = training->layers[i];
    Layer other = evaluation.layers[i];
    if (layer.kind == LayerKind::kBatchNorm && other.kind == LayerKind::kBatchNorm) {
      layer.ints[graph_at::kBatchStatsEval] = other.ints[graph_at::kBatchStatsEval];
      other.ints = layer.ints;
      other.tensors.back() = layer.tensors.back();
    }
    same = layer == other;
  }
  if (same) return absl::OkStatus();
  return Unlike("it computes something else in evaluation than in training");
}

absl::StatusOr<TrainingGraph> Derive(const torch::jit::Module& module, const BundleHeader& header) {
  FW_ASSIGN_OR_RETURN(Walk walk, WalkOnce(module, header, {true, kBatches[0]}));
  FW_ASSIGN_OR_RETURN(const Walk again, WalkOnce(module, header, {true, kBatches[1]}));
  if (again.layers != walk.layers) return Unlike("its layers depend on the size of a batch");
  FW_ASSIGN_OR_RETURN(const Walk evaluation, WalkOnce(module, header, {false, kBatches[0]}));
  FW_RETURN_IF_ERROR(Merge(evaluation, &walk));
  TrainingGraph graph{std::move(walk.layers), walk.output, walk.loss_input, walk.loss};
  // What is written is what was checked.
  const std::string bytes = SerializeTrainingGraph(graph);
  const absl::StatusOr<TrainingGraph> parsed = ParseTrainingGraph(AsBytes(bytes));
  const absl::Status fits = parsed.ok() ? GraphShapes(*parsed, header).status() : parsed.status();
  if (!fits.ok()) return absl::UnimplementedError(fits.message());
  return parsed;
}

}  // namespace

absl::StatusOr<TrainingGraph> DeriveTrainingGraph(const torch::jit::Module& module,
                                                  const BundleHeader& header) {
  try {
    return Derive(module, header);
  } catch (const std::exception& error) {
    return absl::UnimplementedError(
        StatusFromTorch(error, "the model cannot be followed").message());
  }
}

}  // namespace fedwatt::torch_internal
