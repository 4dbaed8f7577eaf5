#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/capi/app_data.h"
#include "client/capi/handles.h"
#include "client/sdk/trainer.h"
#include "client/trainers/local_work/checkpoint.h"
#include "common/base/file.h"
#include "common/base/mutex.h"

namespace fedwatt {

// One piece of work as the app's trainer sees it: what is behind a fedwatt_task. Owns everything
// that the trainer may touch, so that a trainer which never comes back holds memory and nothing
// else.
//
// The trainer's thread calls everything but Cancel, Detach and activity, which any thread may.
class AppTask {
 public:
  // Maps the model and lays out what training will write. INVALID_ARGUMENT: the model is not of
  // the bundle's size, or the plan does not fit it. `cancel` (valid until Detach, or the end of the
  // call) is looked at by the trainer itself: a step that ends after it was set is the last.
  static absl::StatusOr<std::shared_ptr<AppTask>> Make(
      const TrainRequest& request, std::shared_ptr<AppData> data, const Clock* clock,
      const std::atomic<bool>* cancel, std::function<void(const TrainProgress&)> progress);

  const TrainRequest& request() const { return request_; }
  Activity& activity() { return activity_; }
  const Activity& activity() const { return activity_; }

  // ---- what fedwatt_task_* do

  fedwatt_plan MakePlan() const;
  size_t parameter_count() const { return manifest().tensors().size(); }
  absl::StatusOr<fedwatt_parameter> Parameter(size_t index);
  absl::StatusOr<ByteSpan> ArtifactOf(const std::string& format) const;
  absl::Status Rewind();
  // Cut to plan.max_examples of an evaluation.
  absl::StatusOr<fedwatt_batch> Next(uint64_t max_examples);
  void Progress(const TrainProgress& progress);
  absl::Status Metric(const std::string& name, double value);
  bool cancelled() const;
  absl::Status Save(ByteSpan data, uint64_t steps);
  // NOT_FOUND: nothing. Valid until Save.
  absl::StatusOr<ByteSpan> Saved();

  // ---- what the waiting side does

  void Cancel() { cancelled_ = true; }
  // Nobody waits any more: progress goes nowhere from now on, and `cancel` may be gone.
  void Detach();
  const std::map<std::string, double>& metrics() const { return metrics_; }
  // The delta, then the buffers, as the request wants them; and the client's own buffers. The
  // number of bytes.
  absl::StatusOr<uint64_t> WriteOutput() const;

 private:
  AppTask(const TrainRequest& request, std::shared_ptr<AppData> data, const Clock* clock,
          const std::atomic<bool>* cancel, std::function<void(const TrainProgress&)> progress);

  const Manifest& manifest() const { return request_.bundle->header().manifest; }
  bool training() const { return request_.kind == AssignmentKind::kTrain; }
  bool keeps_buffers() const;
  bool can_save() const { return training() && !request_.checkpoint_path.empty(); }
  absl::Status Load();
  absl::Status LayOut();

  const TrainRequest request_;
  const std::shared_ptr<AppData> data_;
  Activity activity_;
  ExampleShape expected_;
  uint64_t seed_ = 0;

  MappedFile model_;
  std::vector<const uint8_t*> values_;  // by tensor
  std::vector<void*> outputs_;          // by tensor; null: not sent
  std::vector<float> delta_;
  std::vector<uint8_t> buffers_;
  bool rewound_ = false;
  uint64_t examples_left_ = UINT64_MAX;
  std::map<std::string, double> metrics_;
  CheckpointFile checkpoint_;
  uint64_t steps_saved_ = 0;
  bool restored_ = false;  // the trainer has what was saved; the next step that it tells says where
  TrainProgress progress_now_;

  std::atomic<bool> cancelled_{false};
  mutable Mutex mutex_;
  const std::atomic<bool>* cancel_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const TrainProgress&)> progress_ ABSL_GUARDED_BY(mutex_);
};

// The tasks that are live in this process.
Handles<AppTask>& LiveTasks();

}  // namespace fedwatt
