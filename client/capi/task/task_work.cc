#include "client/capi/task/task_work.h"

#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/datasets/tensor_dataset.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint64_t kBatch = 256;

// Calls a function of fedwatt.h, whose last argument is the error.
template <typename Function, typename... Args>
absl::Status Ask(Function function, Args... args) {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = function(args..., &error);
  if (code == FEDWATT_OK) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(code), error.message);
}

std::vector<int64_t> ShapeOf(const fedwatt_tensor& tensor, uint32_t from) {
  return {tensor.shape + from, tensor.shape + tensor.dims};
}

LocalEvaluation EvaluationOf(const fedwatt_plan& plan) {
  if (plan.evaluate_before != 0 && plan.evaluate_after != 0) return LocalEvaluation::kBoth;
  if (plan.evaluate_before != 0) return LocalEvaluation::kBefore;
  return plan.evaluate_after != 0 ? LocalEvaluation::kAfter : LocalEvaluation::kNone;
}

void DescribePlan(const fedwatt_plan& given, TaskWork* out) {
  TrainRequest& request = out->request;
  request.kind = static_cast<AssignmentKind>(given.kind);
  request.key.job = given.job;
  request.key.round = given.round;
  request.seed_key = given.client;
  request.dataset.name = given.dataset;
  request.time_left_ms = given.time_left_ms;
  request.checkpoint_every_ms = given.save_every_ms;
  Plan& plan = request.plan;
  plan.optimizer = {.kind = static_cast<OptimizerKind>(given.optimizer),
                    .lr = given.lr,
                    .momentum = given.momentum,
                    .weight_decay = given.weight_decay,
                    .beta1 = given.beta1,
                    .beta2 = given.beta2,
                    .eps = given.eps,
                    .nesterov = given.nesterov != 0};
  plan.local_epochs = given.local_epochs;
  plan.local_steps = given.local_steps;
  plan.batch_size = given.batch_size;
  plan.clip_grad_norm = given.clip_grad_norm;
  plan.proximal_mu = given.proximal_mu;
  plan.local_evaluation = EvaluationOf(given);
  plan.local_evaluation_examples = static_cast<uint32_t>(given.evaluate_examples);
  plan.step_time_limit_ms = given.step_time_limit_ms;
  plan.time_limit_ms = given.time_left_ms;
  plan.memory_limit_bytes = given.memory_limit_bytes;
  plan.seed = given.plan_seed;
  out->header.name = given.model;
  out->header.task = static_cast<ModelTask>(given.model_task);
  out->header.input_shape = ShapeOf(given.input, 0);
  out->header.input_dtype = static_cast<DType>(given.input.dtype);
  out->header.forward_method = given.forward_method;
  out->header.loss_method = given.loss_method;
}

absl::Status DescribeTensors(fedwatt_task* task, TaskWork* out) {
  Plan& plan = out->request.plan;
  std::vector<TensorSpec> specs;
  const size_t count = fedwatt_task_parameter_count(task);
  for (size_t i = 0; i < count; ++i) {
    fedwatt_parameter parameter = FEDWATT_INIT(fedwatt_parameter);
    FW_RETURN_IF_ERROR(Ask(fedwatt_task_parameter, task, i, &parameter));
    TensorSpec spec;
    spec.name = parameter.name;
    spec.dtype = static_cast<DType>(parameter.value.dtype);
    spec.shape = ShapeOf(parameter.value, 0);
    spec.role = parameter.trainable != 0 ? TensorRole::kTrainable : TensorRole::kBuffer;
    if (parameter.output == nullptr && out->request.kind == AssignmentKind::kTrain) {
      if (parameter.trainable != 0) {
        plan.frozen.push_back(spec.name);
      } else {
        plan.buffers = BufferMode::kFrozen;
      }
    }
    out->base.push_back(static_cast<const uint8_t*>(parameter.value.data));
    out->parameters.push_back(parameter);
    specs.push_back(std::move(spec));
  }
  FW_ASSIGN_OR_RETURN(out->header.manifest, Manifest::Create(std::move(specs)));
  return absl::OkStatus();
}

absl::Status Describe(fedwatt_task* task, const char* artifact_format, TaskWork* out) {
  fedwatt_plan plan = FEDWATT_INIT(fedwatt_plan);
  FW_RETURN_IF_ERROR(Ask(fedwatt_task_plan, task, &plan));
  if (plan.loss_method == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("libfedwatt_client.so ", fedwatt_version(),
                     " is older than the trainer's library; install both of one version"));
  }
  DescribePlan(plan, out);
  FW_RETURN_IF_ERROR(DescribeTensors(task, out));
  const void* data = nullptr;
  size_t bytes = 0;
  absl::Status found = Ask(fedwatt_task_artifact, task, artifact_format, &data, &bytes);
  if (!found.ok() && !absl::IsNotFound(found)) return found;
  out->artifact = {static_cast<const uint8_t*>(data), bytes};
  return absl::OkStatus();
}

void Append(const fedwatt_tensor& tensor, uint64_t bytes, std::vector<uint8_t>* out) {
  const auto* const data = static_cast<const uint8_t*>(tensor.data);
  out->insert(out->end(), data, data + bytes);
}

// All that the app has: training goes through it in another order every epoch.
absl::StatusOr<TensorData> Collect(fedwatt_task* task, const BundleHeader& header,
                                   uint64_t limit_bytes) {
  TensorData data;
  data.x_shape = header.input_shape;
  data.x_dtype = header.input_dtype;
  FW_RETURN_IF_ERROR(Ask(fedwatt_task_rewind, task));
  while (true) {
    fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
    const absl::Status status = Ask(fedwatt_task_next, task, kBatch, &batch);
    if (absl::IsOutOfRange(status)) return data;
    FW_RETURN_IF_ERROR(status);
    if (fedwatt_task_cancelled(task) != 0) {
      return absl::CancelledError("cancelled while reading the data");
    }
    const std::vector<int64_t> y_shape = ShapeOf(batch.y, 1);
    const auto y_dtype = static_cast<DType>(batch.y.dtype);
    if (data.size == 0) {
      data.y_shape = y_shape;
      data.y_dtype = y_dtype;
    }
    if (y_shape != data.y_shape || y_dtype != data.y_dtype) {
      return absl::InvalidArgumentError(
          "the data source's y changes its shape or dtype between "
          "two batches");
    }
    const auto bytes_of = [&](const std::vector<int64_t>& shape, DType dtype) {
      uint64_t bytes = batch.examples * DTypeBytes(dtype);
      for (const int64_t dim : shape) bytes *= static_cast<uint64_t>(dim);
      return bytes;
    };
    const uint64_t x_bytes = bytes_of(data.x_shape, data.x_dtype);
    const uint64_t y_bytes = bytes_of(y_shape, y_dtype);
    if (data.x.size() + data.y.size() + x_bytes + y_bytes > limit_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the data set has more than ", limit_bytes,
                       " bytes, which is all that the trainer may use; offer fewer examples or "
                       "raise the trainer's memory limit"));
    }
    Append(batch.x, x_bytes, &data.x);
    Append(batch.y, y_bytes, &data.y);
    data.size += batch.examples;
  }
}

class TaskCheckpoints final : public Checkpoints {
 public:
  explicit TaskCheckpoints(fedwatt_task* task) : task_(task) {}

  ByteSpan Found() override {
    const void* data = nullptr;
    size_t bytes = 0;
    if (!Ask(fedwatt_task_saved, task_, &data, &bytes).ok()) return {};
    return {static_cast<const uint8_t*>(data), bytes};
  }
  absl::Status Save(const std::vector<ByteSpan>& pieces, uint64_t steps) override {
    std::string content;
    for (const ByteSpan piece : pieces) content += AsText(piece);
    return Ask(fedwatt_task_save, task_, static_cast<const void*>(content.data()), content.size(),
               steps);
  }

 private:
  fedwatt_task* const task_;
};

fedwatt_losses LossesOf(const std::optional<LossSums>& sums) {
  if (!sums.has_value()) return {};
  return {sums->examples, sums->loss_sum, sums->loss_sq_sum, sums->correct, sums->predictions};
}

absl::Status Run(fedwatt_task* task, const char* artifact_format, uint64_t data_limit_bytes,
                 const TaskBody& body, fedwatt_result* result) {
  TaskWork work;
  FW_RETURN_IF_ERROR(Describe(task, artifact_format, &work));
  FW_ASSIGN_OR_RETURN(TensorData data, Collect(task, work.header, data_limit_bytes));
  work.dataset_bytes = data.x.size() + data.y.size();
  work.dataset = std::make_shared<TensorDataset>(std::move(data));
  const SystemClock clock;
  const int64_t limit_ms = TimeLimitMs(work.request);
  WorkMonitor monitor(
      clock, clock.MonotonicUs() + limit_ms * 1000, limit_ms,
      [task] { return fedwatt_task_cancelled(task) != 0; },
      [task](const TrainProgress& at) {
        fedwatt_task_progress(task, at.steps_done, at.steps_total, at.loss, nullptr);
      });
  TaskCheckpoints checkpoints(task);
  UpdateMetrics metrics;
  FW_RETURN_IF_ERROR(body(work, clock, monitor,
                          work.request.checkpoint_every_ms > 0 ? &checkpoints : nullptr, &metrics));
  for (const auto& [name, value] : metrics.named) {
    FW_RETURN_IF_ERROR(Ask(fedwatt_task_metric, task, name.c_str(), value));
  }
  result->examples = metrics.examples;
  result->steps = metrics.steps;
  result->before = LossesOf(metrics.before);
  result->after = LossesOf(metrics.after);
  return absl::OkStatus();
}

}  // namespace

int32_t GiveError(const absl::Status& status, fedwatt_error* error) {
  if (status.ok()) return FEDWATT_OK;
  return fedwatt_fail(error, static_cast<int32_t>(status.code()),
                      std::string(status.message()).c_str());
}

int32_t RunTask(fedwatt_task* task, const char* artifact_format, uint64_t data_limit_bytes,
                const TaskBody& body, fedwatt_result* result, fedwatt_error* error) {
  try {
    return GiveError(Run(task, artifact_format, data_limit_bytes, body, result), error);
  } catch (const std::bad_alloc&) {
    return fedwatt_fail(error, FEDWATT_RESOURCE_EXHAUSTED,
                        "training ran out of memory; use a smaller model or batch");
  } catch (...) {
    return fedwatt_fail(error, FEDWATT_INTERNAL, "an exception in the trainer");
  }
}

}  // namespace fedwatt
