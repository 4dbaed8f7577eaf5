#include "client/trainers/torch/training_loop.h"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt::torch_internal {
namespace {

// Large enough to keep a core busy, small enough that a check for cancellation comes soon.
constexpr uint64_t kEvaluationBatch = 128;

struct TensorBatch {
  uint64_t n = 0;
  at::Tensor x;
  at::Tensor y;
};

int64_t Product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

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

// Indices in the order of training: one permutation after the other.
class EpochOrder {
 public:
  EpochOrder(uint64_t size, uint64_t batch_size, const RngKey& key)
      : order_(size), batch_size_(batch_size), rng_(key) {
    std::iota(order_.begin(), order_.end(), uint64_t{0});
    next_ = size;
  }

  std::pair<const uint64_t*, size_t> NextBatch() {
    if (next_ == order_.size()) {
      rng_.Shuffle(order_);
      next_ = 0;
    }
    const size_t count = std::min<uint64_t>(batch_size_, order_.size() - next_);
    const uint64_t* first = order_.data() + next_;
    next_ += count;
    return {first, count};
  }

 private:
  std::vector<uint64_t> order_;
  uint64_t batch_size_;
  size_t next_;
  Rng rng_;
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

absl::Status NotFinite(double loss, uint64_t step, const Plan& plan) {
  return absl::InvalidArgumentError(absl::StrCat(
      "the loss is ", loss, " at step ", step + 1, " (lr ", plan.optimizer.lr, ", batch size ",
      plan.batch_size, "): lower plan.optimizer.lr or set plan.clip_grad_norm"));
}

absl::StatusOr<double> TrainStep(const Workload& work, const Plan& plan, const Trainable& trainable,
                                 const TensorBatch& batch, torch::optim::Optimizer& optimizer) {
  for (const at::Tensor& parameter : trainable.parameters) parameter.mutable_grad().reset();
  FW_ASSIGN_OR_RETURN(at::Tensor loss, LossOf(work, batch));
  if (loss.dim() > 0) loss = loss.mean();
  const double value = loss.item<double>();
  if (!std::isfinite(value)) return NotFinite(value, work.monitor.steps_done(), plan);
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

}  // namespace

WorkMonitor::WorkMonitor(const Clock& clock, int64_t deadline_us, int64_t limit_ms,
                         const std::atomic<bool>& cancel, const ProgressFn& progress)
    : clock_(clock),
      deadline_us_(deadline_us),
      limit_ms_(limit_ms),
      cancel_(cancel),
      progress_(progress) {}

absl::Status WorkMonitor::Check() const {
  if (cancel_.load(std::memory_order_relaxed)) {
    return absl::CancelledError(
        absl::StrCat("training was cancelled after ", state_.steps_done, " steps"));
  }
  if (clock_.MonotonicUs() < deadline_us_) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("the time limit of ", limit_ms_, " ms ended after ", state_.steps_done, " of ",
                   state_.steps_total,
                   " steps: raise plan.time_limit_ms or the round's deadline, or plan fewer "
                   "local steps"));
}

void WorkMonitor::Alive() const {
  if (progress_) progress_(state_);
}

void WorkMonitor::StepDone(double loss) {
  ++state_.steps_done;
  state_.loss = loss;
  Alive();
}

absl::Status CheckInput(const BundleHeader& header, const Dataset& dataset) {
  if (dataset.size() == 0) {
    return absl::InvalidArgumentError("the dataset has no examples for this client");
  }
  const std::vector<int64_t> shape = dataset.input_shape();
  if (Product(shape) != Product(header.input_shape)) {
    return absl::InvalidArgumentError(
        absl::StrCat("examples have shape [", absl::StrJoin(shape, ", "), "], model ", header.name,
                     " takes [", absl::StrJoin(header.input_shape, ", "), "]"));
  }
  if (dataset.input_dtype() != header.input_dtype) {
    return absl::InvalidArgumentError(
        absl::StrCat("examples are ", DTypeName(dataset.input_dtype()), ", model ", header.name,
                     " takes ", DTypeName(header.input_dtype)));
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainingStats> Train(const Workload& work, const Plan& plan,
                                    const Trainable& trainable, const RngKey& shuffle) {
  const uint64_t size = work.dataset.size();
  const uint64_t batch_size = plan.batch_size;
  const uint64_t per_epoch = (size + batch_size - 1) / batch_size;
  const uint64_t total = plan.local_steps > 0 ? plan.local_steps : plan.local_epochs * per_epoch;
  work.monitor.ExpectSteps(total);
  work.module.train(true);
  std::unique_ptr<torch::optim::Optimizer> optimizer =
      MakeOptimizer(plan.optimizer, trainable.parameters);
  EpochOrder order(size, batch_size, shuffle);
  BatchReader reader(work);
  for (uint64_t step = 0; step < total; ++step) {
    FW_RETURN_IF_ERROR(work.monitor.Check());
    const auto [first, count] = order.NextBatch();
    FW_ASSIGN_OR_RETURN(const TensorBatch batch, reader.Read(first, count));
    FW_ASSIGN_OR_RETURN(const double loss, TrainStep(work, plan, trainable, batch, *optimizer));
    work.monitor.StepDone(loss);
  }
  for (const at::Tensor& parameter : trainable.parameters) parameter.mutable_grad().reset();
  return TrainingStats{std::min(size, total * batch_size), total};
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

std::vector<uint64_t> FixedSubset(uint64_t size, uint64_t limit, const RngKey& key) {
  std::vector<uint64_t> indices(size);
  std::iota(indices.begin(), indices.end(), uint64_t{0});
  if (limit == 0 || limit >= size) return indices;
  Rng rng(key);
  for (uint64_t i = 0; i < limit; ++i) {
    std::swap(indices[i], indices[i + rng.UniformInt(size - i)]);
  }
  indices.resize(limit);
  std::sort(indices.begin(), indices.end());
  return indices;
}

}  // namespace fedwatt::torch_internal
