#include "client/trainers/portable/graph_work.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/trainers/portable/graph_run.h"
#include "client/trainers/portable/training_state.h"
#include "common/base/status_macros.h"

namespace fedwatt::portable {

GraphWork::GraphWork(GraphInputs inputs) : in_(std::move(inputs)), plan_(in_.request.plan) {}

absl::Status GraphWork::Prepare() {
  if (in_.graph.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("bundle ", in_.header.name,
                     " carries no training graph; `fedwatt-torch inspect` says why. Train it with "
                     "--trainer torch"));
  }
  FW_RETURN_IF_ERROR(ValidatePlan(plan_));
  FW_ASSIGN_OR_RETURN(graph_, ParseTrainingGraph(in_.graph));
  FW_ASSIGN_OR_RETURN(network_, Network::Create(graph_, in_.header));
  FW_RETURN_IF_ERROR(CheckInput(in_.header, in_.dataset));
  FW_RETURN_IF_ERROR(CheckMemory());
  return network_->Load(in_.base);
}

absl::Status GraphWork::CheckMemory() const {
  uint64_t limit = in_.memory_limit_bytes;
  if (plan_.memory_limit_bytes > 0) limit = std::min(limit, plan_.memory_limit_bytes);
  const uint64_t size = in_.dataset.size();
  uint64_t needed = network_->BytesFor(std::min(size, kEvaluationBatch), false);
  const bool training = in_.request.kind != AssignmentKind::kEvaluate;
  if (training) {
    const uint64_t batch = std::min<uint64_t>(size, plan_.batch_size);
    const uint64_t state = Optimizer::StateFloats(plan_.optimizer) * sizeof(float);
    needed = std::max(
        needed, network_->BytesFor(batch, true) + in_.header.manifest.TrainableElements() * state);
  }
  if (needed <= limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      training ? "training " : "evaluating ", in_.header.name, " in batches of ",
      training ? plan_.batch_size : kEvaluationBatch, " takes ", HumanBytes(needed), " (", needed,
      " bytes); the trainer's memory limit is ", HumanBytes(limit),
      ". Use a smaller model or batch, or raise the limit (--memory-limit on the client, "
      "plan.memory_limit_bytes in the job)"));
}

absl::Status GraphWork::EvaluateInto(const std::vector<uint64_t>& examples,
                                     std::optional<LossSums>* sums, UpdateMetrics* metrics) {
  PhaseTimer timer(in_.clock, "evaluate", metrics);
  FW_ASSIGN_OR_RETURN(
      *sums, EvaluateNetwork(*network_, in_.header.task, in_.dataset, examples, in_.monitor));
  return absl::OkStatus();
}

absl::Status GraphWork::Evaluate(UpdateMetrics* metrics) {
  const std::vector<uint64_t> examples =
      FixedSubset(in_.dataset.size(), plan_.max_examples, EvaluationKey(in_.request));
  metrics->examples = examples.size();
  return EvaluateInto(examples, &metrics->after, metrics);
}

absl::Status GraphWork::TrainFrom(const std::vector<uint64_t>& evaluated, UpdateMetrics* metrics) {
  TrainingState state(in_.header.manifest, plan_.optimizer, in_.dataset.size(), in_.checkpoints);
  const bool both = plan_.local_evaluation == LocalEvaluation::kBoth;
  const bool before = both || plan_.local_evaluation == LocalEvaluation::kBefore;
  if (state.Restore(*network_)) {
    metrics->before = state.before();
  } else if (before) {
    FW_RETURN_IF_ERROR(EvaluateInto(evaluated, &metrics->before, metrics));
    state.set_before(metrics->before);
  }
  PhaseTimer timer(in_.clock, "train", metrics);
  const TrainingSetting setting{
      *network_, in_.dataset, plan_,       layout_,
      in_.base,  in_.clock,   in_.monitor, in_.request.checkpoint_every_ms};
  FW_RETURN_IF_ERROR(TrainNetwork(setting, KeyFor(in_.request, "shuffle"), &state));
  metrics->steps = PlannedSteps(plan_, in_.dataset.size());
  metrics->examples = std::min(in_.dataset.size(), metrics->steps * plan_.batch_size);
  return absl::OkStatus();
}

absl::Status GraphWork::Train(const std::function<absl::Status()>& write, UpdateMetrics* metrics) {
  FW_ASSIGN_OR_RETURN(layout_, MakeUpdateLayout(in_.header.manifest, plan_.frozen, plan_.buffers));
  FW_ASSIGN_OR_RETURN(buffers_, MakeUpdateLayout(in_.header.manifest, {}, BufferMode::kAverage));
  const std::vector<uint64_t> examples =
      FixedSubset(in_.dataset.size(), plan_.local_evaluation_examples, EvaluationKey(in_.request));
  FW_RETURN_IF_ERROR(TrainFrom(examples, metrics));
  RestoreFrozenBuffers();
  FW_RETURN_IF_ERROR(write());
  const bool after = plan_.local_evaluation == LocalEvaluation::kBoth ||
                     plan_.local_evaluation == LocalEvaluation::kAfter;
  return after ? EvaluateInto(examples, &metrics->after, metrics) : absl::OkStatus();
}

void GraphWork::RestoreFrozenBuffers() {
  if (plan_.buffers != BufferMode::kFrozen) return;
  for (const UpdateLayout::Piece& piece : buffers_.buffers) {
    network_->LoadTensor(piece.tensor, in_.base[piece.tensor]);
  }
}

absl::Status GraphWork::Delta(const UpdateLayout::Piece& piece, uint64_t first,
                              std::span<float> out) {
  DeltaFrom(in_.base[piece.tensor] + first * sizeof(float),
            {network_->Values(piece.tensor) + first, out.size()}, out.data());
  if (std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); })) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("parameter ", in_.header.manifest.tensors()[piece.tensor].name,
                   " is not finite after training (lr ", plan_.optimizer.lr,
                   "): lower plan.optimizer.lr or set plan.clip_grad_norm"));
}

}  // namespace fedwatt::portable
