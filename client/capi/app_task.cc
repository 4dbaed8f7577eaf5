#include "client/capi/app_task.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/trainers/local_work/local_work.h"
#include "common/base/bounds.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

bool Evaluates(LocalEvaluation wanted, LocalEvaluation when) {
  return wanted == when || wanted == LocalEvaluation::kBoth;
}

}  // namespace

Handles<AppTask>& LiveTasks() {
  static auto* const live = new Handles<AppTask>();  // never destroyed: a task may outlive main
  return *live;
}

AppTask::AppTask(const TrainRequest& request, std::shared_ptr<AppData> data, const Clock* clock,
                 const std::atomic<bool>* cancel,
                 std::function<void(const TrainProgress&)> progress)
    : request_(request),
      data_(std::move(data)),
      activity_(clock),
      checkpoint_(request.checkpoint_path, request.checkpoint_identity),
      cancel_(cancel),
      progress_(std::move(progress)) {}

absl::StatusOr<std::shared_ptr<AppTask>> AppTask::Make(
    const TrainRequest& request, std::shared_ptr<AppData> data, const Clock* clock,
    const std::atomic<bool>* cancel, std::function<void(const TrainProgress&)> progress) {
  if (request.bundle == nullptr) return absl::InvalidArgumentError("the task has no bundle");
  std::shared_ptr<AppTask> task(
      new AppTask(request, std::move(data), clock, cancel, std::move(progress)));
  FW_RETURN_IF_ERROR(task->Load());
  return task;
}

absl::Status AppTask::Load() {
  const BundleHeader& header = request_.bundle->header();
  expected_ = {header.input_shape, header.input_dtype};
  seed_ = Rng(RngKey{.job = request_.key.job,
                     .round = request_.key.round,
                     .client = request_.seed_key,
                     .purpose = "app-trainer",
                     .seed = request_.plan.seed})
              .NextU64();
  FW_ASSIGN_OR_RETURN(model_, MappedFile::Open(request_.model_path));
  if (model_.bytes().size() != manifest().TotalBytes()) {
    return absl::InvalidArgumentError(absl::StrCat("the model has ", model_.bytes().size(),
                                                   " bytes; the bundle's manifest needs ",
                                                   manifest().TotalBytes()));
  }
  for (size_t i = 0; i < parameter_count(); ++i) {
    values_.push_back(model_.bytes().data() + manifest().OffsetBytes(i));
  }
  outputs_.resize(parameter_count());
  if (training()) return LayOut();
  if (request_.plan.max_examples > 0) examples_left_ = request_.plan.max_examples;
  return absl::OkStatus();
}

bool AppTask::keeps_buffers() const {
  return request_.plan.buffers == BufferMode::kLocal && !request_.local_buffers_path.empty();
}

absl::Status AppTask::LayOut() {
  const Plan& plan = request_.plan;
  FW_ASSIGN_OR_RETURN(const UpdateLayout layout,
                      MakeUpdateLayout(manifest(), plan.frozen, plan.buffers));
  delta_.resize(layout.coordinates);
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    outputs_[piece.tensor] = delta_.data() + piece.offset;
  }
  if (plan.buffers == BufferMode::kFrozen) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const UpdateLayout all,
                      MakeUpdateLayout(manifest(), {}, BufferMode::kAverage));
  buffers_.resize(all.buffer_bytes);
  for (const UpdateLayout::Piece& piece : all.buffers) {
    uint8_t* const own = buffers_.data() + piece.offset;
    std::memcpy(own, values_[piece.tensor], manifest().tensors()[piece.tensor].Bytes());
    outputs_[piece.tensor] = own;
    if (plan.buffers == BufferMode::kLocal) values_[piece.tensor] = own;
  }
  if (!keeps_buffers() || !FileExists(request_.local_buffers_path)) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const MappedFile kept, MappedFile::Open(request_.local_buffers_path));
  // Of another size: it is another model's.
  if (kept.bytes().size() != buffers_.size()) return absl::OkStatus();
  std::memcpy(buffers_.data(), kept.bytes().data(), buffers_.size());
  return absl::OkStatus();
}

fedwatt_plan AppTask::MakePlan() const {
  const Plan& plan = request_.plan;
  fedwatt_plan out = FEDWATT_INIT(fedwatt_plan);
  out.kind = static_cast<int32_t>(request_.kind);
  out.model_task = static_cast<int32_t>(request_.bundle->header().task);
  out.optimizer = static_cast<int32_t>(plan.optimizer.kind);
  out.local_epochs = plan.local_epochs;
  out.local_steps = plan.local_steps;
  out.batch_size = plan.batch_size;
  out.max_examples = training() ? 0 : plan.max_examples;
  out.lr = plan.optimizer.lr;
  out.momentum = plan.optimizer.momentum;
  out.weight_decay = plan.optimizer.weight_decay;
  out.beta1 = plan.optimizer.beta1;
  out.beta2 = plan.optimizer.beta2;
  out.eps = plan.optimizer.eps;
  out.nesterov = plan.optimizer.nesterov ? 1 : 0;
  out.evaluate_before = Evaluates(plan.local_evaluation, LocalEvaluation::kBefore) ? 1 : 0;
  out.evaluate_after = Evaluates(plan.local_evaluation, LocalEvaluation::kAfter) ? 1 : 0;
  out.clip_grad_norm = plan.clip_grad_norm;
  out.proximal_mu = plan.proximal_mu;
  out.seed = seed_;
  out.time_left_ms = TimeLimitMs(request_);
  out.job = request_.key.job.c_str();
  out.round = request_.key.round;
  out.dataset = request_.dataset.name.c_str();
  out.model = request_.bundle->header().name.c_str();
  out.client = request_.seed_key.c_str();
  out.plan_seed = plan.seed;
  out.evaluate_examples = plan.local_evaluation_examples;
  out.memory_limit_bytes = plan.memory_limit_bytes;
  out.step_time_limit_ms = plan.step_time_limit_ms;
  out.save_every_ms = can_save() ? request_.checkpoint_every_ms : 0;
  out.input.dtype = static_cast<int32_t>(expected_.dtype);
  out.input.dims = static_cast<uint32_t>(expected_.shape.size());
  std::copy(expected_.shape.begin(), expected_.shape.end(), out.input.shape);
  out.forward_method = request_.bundle->header().forward_method.c_str();
  out.loss_method = request_.bundle->header().loss_method.c_str();
  return out;
}

absl::StatusOr<fedwatt_parameter> AppTask::Parameter(size_t index) {
  if (index >= parameter_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat("parameter ", index, ": the model has ", parameter_count()));
  }
  const TensorSpec& spec = manifest().tensors()[index];
  fedwatt_parameter out = FEDWATT_INIT(fedwatt_parameter);
  out.name = spec.name.c_str();
  out.value.data = values_[index];
  out.value.dtype = static_cast<int32_t>(spec.dtype);
  out.value.dims = static_cast<uint32_t>(spec.shape.size());
  std::copy(spec.shape.begin(), spec.shape.end(), out.value.shape);
  out.trainable = spec.role == TensorRole::kTrainable ? 1 : 0;
  out.output = outputs_[index];
  return out;
}

absl::StatusOr<ByteSpan> AppTask::ArtifactOf(const std::string& format) const {
  for (const Artifact& artifact : request_.bundle->header().artifacts) {
    if (artifact.format == format) return request_.bundle->ArtifactData(artifact);
  }
  return absl::NotFoundError(absl::StrCat("the bundle ", request_.bundle->header().name,
                                          " has no artifact of the format ", format));
}

absl::Status AppTask::Rewind() {
  rewound_ = true;
  if (!training() && request_.plan.max_examples > 0) examples_left_ = request_.plan.max_examples;
  return data_->Rewind(request_.dataset.name, &activity_);
}

absl::StatusOr<fedwatt_batch> AppTask::Next(uint64_t max_examples) {
  if (!rewound_) {
    return absl::FailedPreconditionError("call fedwatt_task_rewind before fedwatt_task_next");
  }
  if (max_examples == 0) return absl::InvalidArgumentError("max_examples is 0");
  if (examples_left_ == 0) return absl::OutOfRangeError("plan.max_examples is reached");
  FW_ASSIGN_OR_RETURN(const fedwatt_batch batch,
                      data_->Next(request_.dataset.name, std::min(max_examples, examples_left_),
                                  expected_, &activity_));
  if (examples_left_ != UINT64_MAX) examples_left_ -= batch.examples;
  return batch;
}

void AppTask::Progress(const TrainProgress& progress) {
  activity_.Alive();
  if (restored_ && progress.steps_done > 0) {
    steps_saved_ = std::max(steps_saved_, progress.steps_done);
    restored_ = false;
  }
  progress_now_ = progress;
  progress_now_.steps_saved = steps_saved_;
  MutexLock lock(&mutex_);
  if (progress_) progress_(progress_now_);
}

absl::Status AppTask::Save(ByteSpan data, uint64_t steps) {
  if (!can_save()) {
    return absl::FailedPreconditionError(
        "this task is not to be saved (plan.save_every_ms is 0); go on without");
  }
  FW_RETURN_IF_ERROR(checkpoint_.Save({data}, steps));
  steps_saved_ = steps;
  Progress(progress_now_);
  return absl::OkStatus();
}

absl::StatusOr<ByteSpan> AppTask::Saved() {
  const ByteSpan found = can_save() ? checkpoint_.Found() : ByteSpan();
  if (!found.empty()) {
    restored_ = true;
    return found;
  }
  return absl::NotFoundError("nothing of this task was saved; begin at the start");
}

absl::Status AppTask::Metric(const std::string& name, double value) {
  if (name.empty() || name.size() > bounds::kMaxNameLength) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a metric's name has 1 to ", bounds::kMaxNameLength, " bytes, not ", name.size()));
  }
  if (!std::isfinite(value)) {
    return absl::InvalidArgumentError(absl::StrCat("the metric ", name, " is ", value));
  }
  if (!metrics_.contains(name) && metrics_.size() >= bounds::kMaxMetrics) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the metric ", name, ": at most ", bounds::kMaxMetrics, " in a report"));
  }
  metrics_[name] = value;
  return absl::OkStatus();
}

bool AppTask::cancelled() const {
  if (cancelled_) return true;
  MutexLock lock(&mutex_);
  return cancel_ != nullptr && *cancel_;
}

void AppTask::Detach() {
  MutexLock lock(&mutex_);
  cancel_ = nullptr;
  progress_ = nullptr;
}

absl::StatusOr<uint64_t> AppTask::WriteOutput() const {
  FW_ASSIGN_OR_RETURN(FileWriter out, FileWriter::Create(request_.output_path, 0600));
  FW_RETURN_IF_ERROR(
      out.Append({reinterpret_cast<const uint8_t*>(delta_.data()), delta_.size() * sizeof(float)}));
  if (request_.plan.buffers == BufferMode::kAverage) FW_RETURN_IF_ERROR(out.Append(buffers_));
  const uint64_t written = out.size();
  FW_RETURN_IF_ERROR(out.Close());
  if (keeps_buffers()) {
    FW_RETURN_IF_ERROR(WriteFileAtomic(request_.local_buffers_path, AsText(buffers_), 0600));
  }
  return written;
}

}  // namespace fedwatt
