#include "client/trainers/torch/training_loop.h"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt::torch_internal {
namespace {

struct TensorBatch {
  uint64_t n = 0;
  at::Tensor x;
  at::Tensor y;
};

// Reads batches of a dataset into tensors; the tensors of one batch live until the next.
class BatchReader {
 public:
  explicit BatchReader(const Workload& work) : work_(work) {
    input_shape_.push_back(0);
    input_shape_.insert(input_shape_.end(), work.header.input_shape.begin(),
                        work.header.input_shape.end());
  }

  absl::StatusOr<TensorBatch> Read(const uint64_t* first, size_t count) {
    indices_.assign(first, first + count);
    FW_RETURN_IF_ERROR(work_.dataset.Gather(indices_, &batch_));
    TensorBatch out;
    out.n = batch_.n;
    input_shape_[0] = static_cast<int64_t>(batch_.n);
    out.x = Wrap(batch_.x.data(), input_shape_, batch_.x_dtype);
    out.y = Wrap(batch_.y.data(), batch_.y_shape, batch_.y_dtype);
    return out;
  }

 private:
  at::Tensor Wrap(uint8_t* data, const std::vector<int64_t>& shape, DType dtype) const {
    at::Tensor host = torch::from_blob(data, shape, ToScalarType(dtype));
    return work_.device.is_cpu() ? host : host.to(work_.device);
  }

  const Workload& work_;
  std::vector<int64_t> input_shape_;
  std::vector<uint64_t> indices_;
  Batch batch_;
};

std::unique_ptr<torch::optim::Optimizer> MakeOptimizer(const OptimizerSpec& spec,
                                                       const std::vector<at::Tensor>& parameters) {
  const auto betas = std::make_tuple(spec.beta1, spec.beta2);
  switch (spec.kind) {
    case OptimizerKind::kAdam:
      return std::make_unique<torch::optim::Adam>(
          parameters, torch::optim::AdamOptions(spec.lr).betas(betas).eps(spec.eps).weight_decay(
                          spec.weight_decay));
    case OptimizerKind::kAdamW:
      return std::make_unique<torch::optim::AdamW>(
          parameters, torch::optim::AdamWOptions(spec.lr).betas(betas).eps(spec.eps).weight_decay(
                          spec.weight_decay));
    case OptimizerKind::kSgd:
      break;
  }
  return std::make_unique<torch::optim::SGD>(parameters, torch::optim::SGDOptions(spec.lr)
                                                             .momentum(spec.momentum)
                                                             .weight_decay(spec.weight_decay)
                                                             .nesterov(spec.nesterov));
}

absl::Status CheckLoss(const at::Tensor& loss, uint64_t n, const std::string& method) {
  const bool per_example = loss.dim() == 1 && loss.size(0) == static_cast<int64_t>(n);
  if ((per_example || loss.dim() == 0) && loss.is_floating_point()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("method ", method, " returned ", c10::toString(loss.scalar_type()),
                   " of shape [", absl::StrJoin(loss.sizes(), ", "), "] for ", n,
                   " examples; return one float per example (reduction=\"none\") or their mean"));
}

absl::StatusOr<at::Tensor> LossOf(const Workload& work, const TensorBatch& batch) {
  at::Tensor loss = work.module.get_method(work.header.loss_method)({batch.x, batch.y}).toTensor();
  FW_RETURN_IF_ERROR(CheckLoss(loss, batch.n, work.header.loss_method));
  return loss;
}

// Gradient of mu/2 ||w - w_t||^2.
void AddProximalGradient(const Trainable& trainable, double mu) {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < trainable.parameters.size(); ++i) {
    at::Tensor grad = trainable.parameters[i].grad();
    if (!grad.defined()) continue;
    grad.add_(trainable.parameters[i], mu).sub_(trainable.base[i], mu);
  }
}

void ClipGradients(const Trainable& trainable, double max_norm) {
  torch::NoGradGuard no_grad;
  double squares = 0;
  for (const at::Tensor& parameter : trainable.parameters) {
    if (!parameter.grad().defined()) continue;
    const double norm = parameter.grad().norm().item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  if (norm <= max_norm) return;
  for (const at::Tensor& parameter : trainable.parameters) {
    if (parameter.grad().defined()) parameter.grad().mul_(max_norm / norm);
  }
}

absl::StatusOr<double> TrainStep(const Workload& work, const Plan& plan, const Trainable& trainable,
                                 const TensorBatch& batch, torch::optim::Optimizer& optimizer) {
  for (const at::Tensor& parameter : trainable.parameters) parameter.mutable_grad().reset();
  FW_ASSIGN_OR_RETURN(at::Tensor loss, LossOf(work, batch));
  if (loss.dim() > 0) loss = loss.mean();
  const double value = loss.item<double>();
  if (!std::isfinite(value)) return LossNotFinite(value, work.monitor.steps_done(), plan);
  if (!loss.requires_grad()) {
    return absl::InvalidArgumentError(
        absl::StrCat("method ", work.header.loss_method, " does not depend on any trained ",
                     "parameter; check plan.frozen and calls of detach in the model"));
  }
  loss.backward();
  if (plan.proximal_mu > 0) AddProximalGradient(trainable, plan.proximal_mu);
  if (plan.clip_grad_norm > 0) ClipGradients(trainable, plan.clip_grad_norm);
  optimizer.step();
  return value;
}

// Class scores in dimension 1 against integer targets; negative targets are padding.
absl::Status CountCorrect(const Workload& work, const TensorBatch& batch, const at::Tensor& output,
                          LossSums* sums) {
  if (work.header.task == ModelTask::kRegression) return absl::OkStatus();
  if (output.dim() < 2 || output.dim() != batch.y.dim() + 1 || output.size(0) != batch.y.size(0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "method ", work.header.forward_method, " returned shape [",
        absl::StrJoin(output.sizes(), ", "), "] where targets are [",
        absl::StrJoin(batch.y.sizes(), ", "), "]; a ", TaskName(work.header.task),
        " model returns [n, classes", work.header.task == ModelTask::kSequence ? ", t]" : "]"));
  }
  const at::Tensor counted = batch.y.ge(0);
  sums->correct += output.argmax(1).eq(batch.y).logical_and_(counted).sum().item<int64_t>();
  sums->predictions += counted.sum().item<int64_t>();
  return absl::OkStatus();
}

// A scalar loss is a mean: its square stands for every example's of the batch.
void AddLosses(const at::Tensor& loss, uint64_t n, LossSums* sums) {
  sums->examples += n;
  const at::Tensor exact = loss.to(at::kDouble);
  const double copies = loss.dim() == 0 ? static_cast<double>(n) : 1;
  sums->loss_sum += exact.sum().item<double>() * copies;
  sums->loss_sq_sum += exact.square().sum().item<double>() * copies;
}

absl::Status AddMetrics(const Workload& work, const TensorBatch& batch,
                        std::map<std::string, double>* named) {
  const c10::IValue result = work.module.get_method("metrics")({batch.x, batch.y});
  if (!result.isGenericDict()) {
    return absl::InvalidArgumentError("method metrics must return Dict[str, Tensor]");
  }
  for (const auto& entry : result.toGenericDict()) {
    if (!entry.key().isString() || !entry.value().isTensor()) {
      return absl::InvalidArgumentError("method metrics must return Dict[str, Tensor]");
    }
    const std::string name = entry.key().toStringRef();
    if (name.empty() || name.size() > bounds::kMaxNameLength ||
        (named->size() >= bounds::kMaxMetrics && named->count(name) == 0)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "method metrics returned \"", name.substr(0, 64), "\": at most ", bounds::kMaxMetrics,
          " names of 1 to ", bounds::kMaxNameLength, " bytes are reported"));
    }
    const double mean = entry.value().toTensor().to(at::kDouble).mean().item<double>();
    (*named)[name] += mean * static_cast<double>(batch.n);
  }
  return absl::OkStatus();
}

absl::Status EvaluateBatch(const Workload& work, const TensorBatch& batch, bool with_metrics,
                           EvaluationResult* result) {
  const at::Tensor output =
      work.module.get_method(work.header.forward_method)({batch.x}).toTensor();
  at::Tensor loss;
  if (HasMethod(work.module, "loss_from_output", 2)) {
    loss = work.module.get_method("loss_from_output")({output, batch.y}).toTensor();
    FW_RETURN_IF_ERROR(CheckLoss(loss, batch.n, "loss_from_output"));
  } else {
    FW_ASSIGN_OR_RETURN(loss, LossOf(work, batch));
  }
  AddLosses(loss, batch.n, &result->sums);
  FW_RETURN_IF_ERROR(CountCorrect(work, batch, output, &result->sums));
  return with_metrics ? AddMetrics(work, batch, &result->named) : absl::OkStatus();
}

// In manifest order, as they are now: a graph may have put another in a buffer's place.
std::vector<at::Tensor> TensorsOf(const torch::jit::Module& module) {
  std::vector<at::Tensor> tensors;
  for (NamedTensor& named : NamedTensors(module)) tensors.push_back(std::move(named.tensor));
  return tensors;
}

}  // namespace

absl::StatusOr<TrainingStats> Train(const Workload& work, const Plan& plan,
                                    const Trainable& trainable, const RngKey& shuffle,
                                    TorchCheckpoint* checkpoint, CheckpointPace pace) {
  const uint64_t size = work.dataset.size();
  const uint64_t total = PlannedSteps(plan, size);
  work.monitor.ExpectSteps(total);
  work.module.train(true);
  std::unique_ptr<torch::optim::Optimizer> optimizer =
      MakeOptimizer(plan.optimizer, trainable.parameters);
  EpochOrder order(size, plan.batch_size, shuffle);
  const uint64_t done = std::min(checkpoint->steps(), total);
  if (done > 0) {
    checkpoint->Restore(TensorsOf(work.module), *optimizer);
    for (uint64_t step = 0; step < done; ++step) order.NextBatch();
    work.monitor.ResumeAt(done);
  }
  const auto save = [&](uint64_t steps) {
    if (checkpoint->Save(steps, TensorsOf(work.module), *optimizer)) work.monitor.Saved();
  };
  BatchReader reader(work);
  for (uint64_t step = done; step < total; ++step) {
    const absl::Status status = work.monitor.Check();
    if (absl::IsCancelled(status) && step > checkpoint->saved_steps()) save(step);
    FW_RETURN_IF_ERROR(status);
    const auto [first, count] = order.NextBatch();
    FW_ASSIGN_OR_RETURN(const TensorBatch batch, reader.Read(first, count));
    FW_ASSIGN_OR_RETURN(const double loss, TrainStep(work, plan, trainable, batch, *optimizer));
    work.monitor.StepDone(loss);
    if (pace.Due() && step + 1 < total) {
      save(step + 1);
      pace.Tried();
    }
  }
  for (const at::Tensor& parameter : trainable.parameters) parameter.mutable_grad().reset();
  return TrainingStats{std::min(size, total * plan.batch_size), total};
}

absl::StatusOr<EvaluationResult> Evaluate(const Workload& work,
                                          const std::vector<uint64_t>& examples) {
  torch::NoGradGuard no_grad;
  work.module.eval();
  const bool with_metrics = HasMethod(work.module, "metrics", 2);
  BatchReader reader(work);
  EvaluationResult result;
  for (size_t at = 0; at < examples.size(); at += kEvaluationBatch) {
    FW_RETURN_IF_ERROR(work.monitor.Check());
    const size_t count = std::min<size_t>(kEvaluationBatch, examples.size() - at);
    FW_ASSIGN_OR_RETURN(const TensorBatch batch, reader.Read(examples.data() + at, count));
    FW_RETURN_IF_ERROR(EvaluateBatch(work, batch, with_metrics, &result));
    work.monitor.Alive();
  }
  for (auto& [name, value] : result.named) value /= static_cast<double>(result.sums.examples);
  return result;
}

}  // namespace fedwatt::torch_internal
