#include "client/capi/app_trainer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/capi/app_task.h"
#include "client/capi/host_loop.h"
#include "common/base/bounds.h"
#include "common/base/cpu_time.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

std::optional<LossSums> LossesOf(const fedwatt_losses& losses) {
  if (losses.examples == 0) return std::nullopt;
  return LossSums{losses.examples, losses.loss_sum, losses.loss_sq_sum, losses.correct,
                  losses.predictions};
}

// What the trainer's thread leaves for who waits.
struct Outcome {
  fedwatt_result result = FEDWATT_INIT(fedwatt_result);
  absl::Status status;
};

class AppTrainer final : public Trainer {
 public:
  AppTrainer(std::shared_ptr<AppObject<fedwatt_trainer>> trainer, AppTrainerDeps deps)
      : trainer_(std::move(trainer)), deps_(std::move(deps)), name_(trainer_->table().name) {
    for (size_t i = 0; i < trainer_->table().format_count; ++i) {
      formats_.emplace_back(trainer_->table().formats[i]);
    }
  }

  std::string name() const override { return name_; }
  std::vector<std::string> artifact_formats() const override { return formats_; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override try {
    const int64_t cpu_us = SelfCpuTimeUs();
    FW_ASSIGN_OR_RETURN(const std::shared_ptr<AppTask> task,
                        AppTask::Make(request, deps_.data, deps_.clock, &cancel, progress));
    const auto outcome = std::make_shared<Outcome>();
    absl::Status waited = Wait(task, outcome, cancel);
    if (!waited.ok()) {
      task->Cancel();
      task->Detach();
      return waited;
    }
    FW_RETURN_IF_ERROR(outcome->status);
    // A result that came too late to be told apart from one that ignored the cancellation.
    if (cancel) return absl::CancelledError("cancelled while the trainer worked");
    FW_ASSIGN_OR_RETURN(TrainResult result, ResultOf(request, *task, outcome->result));
    result.cpu_time_us = SelfCpuTimeUs() - cpu_us;
    return result;
  } catch (...) {
    return ExceptionStatus("the client's training");
  }

 private:
  absl::Status Wait(const std::shared_ptr<AppTask>& task, const std::shared_ptr<Outcome>& outcome,
                    const std::atomic<bool>& cancel) {
    const TrainRequest& request = task->request();
    int64_t limit_ms = request.plan.time_limit_ms;
    if (request.time_left_ms > 0) limit_ms = std::min(limit_ms, request.time_left_ms);
    const int64_t end_us = deps_.clock->MonotonicUs() + limit_ms * 1000;
    bool late = false;
    absl::Status waited = deps_.thread->Run(
        [task, outcome, trainer = trainer_] { Call(*trainer, task, outcome.get()); },
        [&]() -> absl::Status {
          if (*deps_.give_up) return absl::CancelledError("the client was closed");
          late |= deps_.clock->MonotonicUs() > end_us;
          if (!cancel && !late) return task->activity().Check();
          task->Cancel();
          return task->activity().CheckCancelled();
        });
    if (waited.ok() && late && absl::IsCancelled(outcome->status)) {
      return absl::DeadlineExceededError(
          absl::StrCat("training took longer than its limit of ", limit_ms, " ms"));
    }
    return waited;
  }

  // On the callback thread.
  static void Call(const AppObject<fedwatt_trainer>& trainer, const std::shared_ptr<AppTask>& task,
                   Outcome* outcome) {
    task->activity().Begin("the trainer's run", task->request().plan.step_time_limit_ms);
    const void* const handle = LiveTasks().Add(task);
    try {
      outcome->status = CallApp("the trainer", [&](fedwatt_error* error) {
        return trainer.table().run(trainer.ctx(),
                                   static_cast<fedwatt_task*>(const_cast<void*>(handle)),
                                   &outcome->result, error);
      });
    } catch (...) {
      outcome->status = ExceptionStatus("the trainer's run");
    }
    LiveTasks().Remove(handle);
  }

  static absl::StatusOr<TrainResult> ResultOf(const TrainRequest& request, const AppTask& task,
                                              const fedwatt_result& given) {
    TrainResult result;
    result.metrics.examples = std::min<uint64_t>(given.examples, bounds::kMaxWeight);
    result.metrics.steps = given.steps;
    result.metrics.before = LossesOf(given.before);
    result.metrics.after = LossesOf(given.after);
    result.metrics.named = task.metrics();
    result.weight = request.plan.weight_by == WeightBy::kUniform && given.examples > 0
                        ? 1
                        : result.metrics.examples;
    if (request.kind == AssignmentKind::kTrain) {
      FW_ASSIGN_OR_RETURN(result.output_bytes, task.WriteOutput());
    }
    return result;
  }

  const std::shared_ptr<AppObject<fedwatt_trainer>> trainer_;
  const AppTrainerDeps deps_;
  const std::string name_;
  std::vector<std::string> formats_;
};

}  // namespace

absl::StatusOr<fedwatt_trainer> CheckAppTrainer(const fedwatt_trainer* trainer) {
  FW_ASSIGN_OR_RETURN(const fedwatt_trainer table, TakeStruct(trainer, "options.trainer"));
  if (table.run == nullptr) return absl::InvalidArgumentError("options.trainer: run is NULL");
  if (table.name == nullptr || table.name[0] == '\0') {
    return absl::InvalidArgumentError("options.trainer: name is missing, by which jobs ask for it");
  }
  if (table.format_count > bounds::kMaxOffers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "options.trainer: format_count is ", table.format_count, ", at most ", bounds::kMaxOffers));
  }
  if (table.format_count > 0 && table.formats == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("options.trainer: formats is NULL, format_count ", table.format_count));
  }
  for (size_t i = 0; i < table.format_count; ++i) {
    if (table.formats[i] == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("options.trainer: formats[", i, "] is NULL"));
    }
  }
  return table;
}

std::unique_ptr<Trainer> MakeAppTrainer(std::shared_ptr<AppObject<fedwatt_trainer>> trainer,
                                        AppTrainerDeps deps) {
  return std::make_unique<AppTrainer>(std::move(trainer), std::move(deps));
}

}  // namespace fedwatt
