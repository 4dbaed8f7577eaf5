#pragma once

// A trainer of the app's own. Apps whose models are TorchScript need none: ClientOptions::
// torch_program trains those in a process of its own.

#include <fedwatt/detail/convert.h>
#include <fedwatt/fedwatt.h>
#include <fedwatt/status.h>
#include <fedwatt/tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace fedwatt {

// What the job wants done: the fields of fedwatt_plan, by the same names. A trainer that cannot do
// a part of it returns Code::kUnimplemented and names the field: a plan that is half followed
// spoils the round. Texts are valid as long as the task.
using Plan = fedwatt_plan;

// One tensor of the model. Valid as long as the task.
struct Parameter {
  std::string name;
  TensorView value;        // as it came
  bool trainable = false;  // else a buffer, such as a running average

  // Where the result goes: of a trainable tensor float32 of new - old, zeros at first; of a buffer
  // its new value, the old one at first. Null: nothing is sent of it (frozen, or an evaluation).
  void* output = nullptr;
  // Of a trainable tensor; empty if nothing is sent.
  std::span<float> Delta() const {
    if (output == nullptr) return {};
    return {static_cast<float*>(output), static_cast<size_t>(value.Elements())};
  }
};

// One piece of work. Only inside of Trainer::Run; later calls are refused.
class TrainingTask {
 public:
  explicit TrainingTask(fedwatt_task* task) : task_(task) {}

  Result<Plan> GetPlan() const;
  Result<std::vector<Parameter>> Parameters() const;
  // The bundle's artifact of this format; its signature is verified. Code::kNotFound: none.
  Result<std::string> Artifact(const std::string& format) const;

  // A new pass over the data set; to be called before the first Next.
  Status Rewind();
  // The next examples, checked against what the model takes. Code::kEnd after the last. Valid
  // until the next call.
  Result<Batch> Next(uint64_t max_examples);

  // A step is done; `steps_total` 0: unknown.
  void Progress(uint64_t steps_done, uint64_t steps_total, double loss);
  // A value of your own for the report, averaged over clients; at most 64, finite.
  Status Metric(const std::string& name, double value);
  // How far this work has come, in any form you like, so that it goes on there when this process
  // ends in the middle: fedwatt_task_save and fedwatt_task_saved of fedwatt.h. To be saved every
  // plan.save_every_ms; an error is no reason to stop.
  Status Save(const std::string& data, uint64_t steps_done);
  // What was saved; Code::kNotFound: nothing, begin at the start.
  Result<std::string> Saved() const;
  // True: stop and return Code::kCancelled. To be asked after every step.
  bool Cancelled() const { return fedwatt_task_cancelled(task_) != 0; }

  // For trainers that are written in C.
  fedwatt_task* handle() const { return task_; }

 private:
  fedwatt_task* const task_;
};

struct Losses {
  uint64_t examples = 0;
  double loss_sum = 0;
  double loss_sq_sum = 0;  // of each example's loss, squared
  uint64_t correct = 0;
  uint64_t predictions = 0;  // what `correct` is out of
};

struct TrainingResult {
  uint64_t examples = 0;  // distinct ones that were used: the update's weight. 0 is an error.
  uint64_t steps = 0;
  std::optional<Losses> before;  // of the model as it came
  std::optional<Losses> after;   // as it was trained; an evaluation's result
};

// One call at a time, on a thread of the client's.
class Trainer {
 public:
  virtual ~Trainer() = default;

  // Jobs can ask for it (eligibility.trainer).
  virtual std::string Name() const = 0;
  // Of a bundle's artifacts that it can read. None: any bundle.
  virtual std::vector<std::string> Formats() const { return {}; }

  // Blocks until the work is done. A step that takes longer than the job's step limit counts as
  // hung: the work is reported as failed, and this trainer gets no more until the call returns.
  virtual Result<TrainingResult> Run(TrainingTask& task) = 0;
};

// ---- inline

inline Result<Plan> TrainingTask::GetPlan() const {
  Plan plan = FEDWATT_INIT(fedwatt_plan);
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_task_plan(task_, &plan, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  return plan;
}

inline Result<std::vector<Parameter>> TrainingTask::Parameters() const {
  std::vector<Parameter> parameters;
  for (size_t i = 0; i < fedwatt_task_parameter_count(task_); ++i) {
    fedwatt_parameter given = FEDWATT_INIT(fedwatt_parameter);
    fedwatt_error error = FEDWATT_INIT(fedwatt_error);
    const int32_t code = fedwatt_task_parameter(task_, i, &given, &error);
    if (code != FEDWATT_OK) return detail::ToStatus(code, error);
    parameters.push_back(
        {given.name, detail::ToView(given.value), given.trainable != 0, given.output});
  }
  return parameters;
}

inline Result<std::string> TrainingTask::Artifact(const std::string& format) const {
  const void* data = nullptr;
  size_t bytes = 0;
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_task_artifact(task_, format.c_str(), &data, &bytes, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  return std::string(static_cast<const char*>(data), bytes);
}

inline Status TrainingTask::Rewind() {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  return detail::ToStatus(fedwatt_task_rewind(task_, &error), error);
}

inline Result<Batch> TrainingTask::Next(uint64_t max_examples) {
  fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_task_next(task_, max_examples, &batch, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  return Batch{batch.examples, detail::ToView(batch.x), detail::ToView(batch.y)};
}

inline void TrainingTask::Progress(uint64_t steps_done, uint64_t steps_total, double loss) {
  fedwatt_task_progress(task_, steps_done, steps_total, loss, nullptr);
}

inline Status TrainingTask::Metric(const std::string& name, double value) {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  return detail::ToStatus(fedwatt_task_metric(task_, name.c_str(), value, &error), error);
}

inline Status TrainingTask::Save(const std::string& data, uint64_t steps_done) {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  return detail::ToStatus(fedwatt_task_save(task_, data.data(), data.size(), steps_done, &error),
                          error);
}

inline Result<std::string> TrainingTask::Saved() const {
  const void* data = nullptr;
  size_t bytes = 0;
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_task_saved(task_, &data, &bytes, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  return std::string(static_cast<const char*>(data), bytes);
}

}  // namespace fedwatt
