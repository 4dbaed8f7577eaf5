#include "client/trainers/portable/graph_run.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/trainers/portable/graph_loss.h"
#include "common/base/status_macros.h"

namespace fedwatt::portable {
namespace {

class Training {
 public:
  Training(const TrainingSetting& setting, TrainingState& state) : s_(setting), state_(state) {}

  absl::StatusOr<double> Step(const uint64_t* first, size_t count) {
    const int64_t start_us = s_.clock.MonotonicUs();
    Network& network = s_.network;
    indices_.assign(first, first + count);
    FW_RETURN_IF_ERROR(s_.dataset.Gather(indices_, &batch_));
    const TrainingGraph& graph = network.graph();
    const Shape& compared = network.ShapeOf(graph.loss_input);
    FW_ASSIGN_OR_RETURN(const Targets targets,
                        TargetsOf(batch_, graph.loss, compared, network.ShapeOf(graph.output)));
    FW_RETURN_IF_ERROR(network.Forward(batch_, s_.monitor));
    network.ClearGradients(batch_.n);
    FW_ASSIGN_OR_RETURN(const BatchLoss loss,
                        ComputeLoss(graph.loss, batch_.n, compared, network.Value(graph.loss_input),
                                    targets, network.ValueGradient(graph.loss_input)));
    if (!std::isfinite(loss.mean)) {
      return LossNotFinite(loss.mean, s_.monitor.steps_done(), s_.plan);
    }
    FW_RETURN_IF_ERROR(network.Backward(batch_, s_.monitor));
    if (s_.plan.proximal_mu > 0) AddProximalGradient();
    if (s_.plan.clip_grad_norm > 0) ClipGradients();
    ApplyGradients();
    return CheckTime(start_us, loss.mean);
  }

 private:
  template <typename Visit>
  void ForEachTrained(const Visit& visit) {
    for (const UpdateLayout::Piece& piece : s_.layout.trainable) {
      float* gradient = s_.network.Gradient(piece.tensor);
      if (gradient != nullptr) visit(piece, std::span<float>(gradient, piece.elements));
    }
  }

  // Gradient of mu/2 ||w - w_t||^2.
  void AddProximalGradient() {
    const auto mu = static_cast<float>(s_.plan.proximal_mu);
    ForEachTrained([&](const UpdateLayout::Piece& piece, std::span<float> gradient) {
      const float* now = s_.network.Values(piece.tensor);
      const uint8_t* base = s_.base[piece.tensor];
      for (size_t i = 0; i < gradient.size(); ++i) {
        float start = 0;
        std::memcpy(&start, base + i * sizeof(float), sizeof(float));
        gradient[i] += mu * (now[i] - start);
      }
    });
  }

  void ClipGradients() {
    double squares = 0;
    ForEachTrained([&](const UpdateLayout::Piece&, std::span<float> gradient) {
      for (const float value : gradient) squares += static_cast<double>(value) * value;
    });
    const double norm = std::sqrt(squares);
    if (norm <= s_.plan.clip_grad_norm) return;
    const auto factor = static_cast<float>(s_.plan.clip_grad_norm / norm);
    ForEachTrained([&](const UpdateLayout::Piece&, std::span<float> gradient) {
      for (float& value : gradient) value *= factor;
    });
  }

  void ApplyGradients() {
    state_.optimizer().BeginStep();
    ForEachTrained([&](const UpdateLayout::Piece& piece, std::span<float> gradient) {
      state_.optimizer().Apply(piece.tensor, {s_.network.Values(piece.tensor), gradient.size()},
                               gradient);
    });
  }

  absl::StatusOr<double> CheckTime(int64_t start_us, double loss) const {
    const int64_t took_ms = (s_.clock.MonotonicUs() - start_us) / 1000;
    if (took_ms <= s_.plan.step_time_limit_ms) return loss;
    return absl::DeadlineExceededError(
        absl::StrCat("a training step took ", took_ms, " ms (plan.step_time_limit_ms = ",
                     s_.plan.step_time_limit_ms, "): use a smaller batch or model"));
  }

  const TrainingSetting& s_;
  TrainingState& state_;
  std::vector<uint64_t> indices_;
  Batch batch_;
};

}  // namespace

absl::Status TrainNetwork(const TrainingSetting& setting, const RngKey& shuffle,
                          TrainingState* state) {
  Network& network = setting.network;
  WorkMonitor& monitor = setting.monitor;
  const uint64_t size = setting.dataset.size();
  const uint64_t total = PlannedSteps(setting.plan, size);
  monitor.ExpectSteps(total);
  std::vector<size_t> trained;
  for (const UpdateLayout::Piece& piece : setting.layout.trainable) trained.push_back(piece.tensor);
  const uint64_t batch = std::min<uint64_t>(size, setting.plan.batch_size);
  FW_RETURN_IF_ERROR(network.Reserve(batch, true, trained));
  Training training(setting, *state);
  EpochOrder order(size, setting.plan.batch_size, shuffle);
  for (uint64_t step = 0; step < std::min(state->steps(), total); ++step) order.NextBatch();
  if (state->steps() > 0) monitor.ResumeAt(state->steps());
  CheckpointPace pace(setting.clock, state->can_save() ? setting.checkpoint_every_ms : 0);
  while (state->steps() < total) {
    state->BeginStep(network);
    absl::Status status = monitor.Check();
    if (status.ok()) {
      const auto [first, count] = order.NextBatch();
      const absl::StatusOr<double> loss = training.Step(first, count);
      status = loss.status();
      if (status.ok()) {
        state->StepDone();
        monitor.StepDone(*loss);
      }
    }
    if (!status.ok()) {
      if (absl::IsCancelled(status) && state->steps() > state->saved_steps()) {
        state->UndoStep(network);
        if (state->Save(network)) monitor.Saved();
      }
      return status;
    }
    if (pace.Due() && state->steps() < total) {
      if (state->Save(network)) monitor.Saved();
      pace.Tried();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LossSums> EvaluateNetwork(Network& network, ModelTask task, const Dataset& dataset,
                                         const std::vector<uint64_t>& examples,
                                         const WorkMonitor& monitor) {
  const TrainingGraph& graph = network.graph();
  const Shape& compared = network.ShapeOf(graph.loss_input);
  const Shape& output = network.ShapeOf(graph.output);
  FW_RETURN_IF_ERROR(
      network.Reserve(std::min<uint64_t>(examples.size(), kEvaluationBatch), false, {}));
  LossSums sums;
  std::vector<uint64_t> indices;
  Batch batch;
  for (size_t at = 0; at < examples.size(); at += kEvaluationBatch) {
    FW_RETURN_IF_ERROR(monitor.Check());
    const size_t count = std::min<size_t>(kEvaluationBatch, examples.size() - at);
    indices.assign(examples.begin() + static_cast<ptrdiff_t>(at),
                   examples.begin() + static_cast<ptrdiff_t>(at + count));
    FW_RETURN_IF_ERROR(dataset.Gather(indices, &batch));
    FW_ASSIGN_OR_RETURN(const Targets targets, TargetsOf(batch, graph.loss, compared, output));
    FW_RETURN_IF_ERROR(network.Forward(batch, monitor));
    FW_ASSIGN_OR_RETURN(const BatchLoss loss,
                        ComputeLoss(graph.loss, batch.n, compared, network.Value(graph.loss_input),
                                    targets, nullptr));
    AddLosses(loss, batch.n, &sums);
    if (task != ModelTask::kRegression) {
      CountCorrect(batch.n, output, network.Value(graph.output), targets, &sums);
    }
    monitor.Alive();
  }
  return sums;
}

void DeltaFrom(const uint8_t* base, std::span<const float> now, float* out) {
  std::memcpy(out, base, now.size() * sizeof(float));
  for (size_t i = 0; i < now.size(); ++i) out[i] = now[i] - out[i];
}

}  // namespace fedwatt::portable
