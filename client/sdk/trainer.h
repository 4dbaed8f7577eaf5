#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "common/bundle/bundle.h"
#include "common/model/fleet.h"

// Trainers do the local work of an assignment. Tensors pass as files of the client's state
// directory (flat data of the bundle's manifest), so that a trainer may live in another process
// and a model of any size passes.
namespace fedwatt {

struct TrainRequest {
  std::string assignment_id;
  RoundKey key;
  AssignmentKind kind = AssignmentKind::kTrain;
  std::shared_ptr<const Bundle> bundle;  // verified; null where only files came over
  // Its file, for a trainer in another process, which runs it only if its header has this hash:
  // what was verified is what runs, also if the file was replaced meanwhile. Zeros: any.
  std::string bundle_path;
  Digest bundle_header_sha256{};
  std::string model_path;  // flat tensors of the base model
  std::string
      output_path;  // written by training: float32 delta in UpdateLayout order, then buffers
  // With BufferMode::kLocal: where this client's own buffers live between rounds, in manifest
  // order. Read when the file is there (and fits), replaced after training. Empty: they start from
  // the model's every time.
  std::string local_buffers_path;
  DatasetConfig dataset;
  Plan plan;
  std::string seed_key;      // with job and round the key of all randomness of this work
  int64_t time_left_ms = 0;  // training that cannot end by then stops with DEADLINE_EXCEEDED
  // Where training keeps how far it has come (trainers/local_work/checkpoint.h), so that a process
  // that ended in the middle goes on there. Empty: nowhere.
  std::string checkpoint_path;
  Digest checkpoint_identity{};     // of what may be gone on with
  int64_t checkpoint_every_ms = 0;  // 0: when it is cancelled only
};

struct TrainProgress {
  uint64_t steps_done = 0;
  uint64_t steps_total = 0;
  double loss = 0;           // of the last batch
  uint64_t steps_saved = 0;  // of them in the newest checkpoint
};

struct TrainResult {
  UpdateMetrics metrics;  // examples, steps, losses, seconds "train" and "evaluate", named values
  uint64_t weight = 0;    // by plan.weight_by
  uint64_t output_bytes = 0;
  int64_t cpu_time_us = 0;  // spent by the trainer, children included
};

// One request at a time, from one thread; `cancel` may be set from any.
class Trainer {
 public:
  virtual ~Trainer() = default;
  virtual std::string name() const = 0;  // "torch", "echo"
  virtual std::vector<std::string> artifact_formats() const = 0;

  // Run with this request comes next, in a moment: what has to be loaded may be loaded meanwhile.
  // Called on the session's executor, must not block. Run may never come (the device stops).
  virtual void Expect(const TrainRequest& /*request*/) {}

  // Blocks. Errors: INVALID_ARGUMENT (model, data and plan do not fit), PERMISSION_DENIED (an
  // operator of the graph is not allowed), RESOURCE_EXHAUSTED (memory limit), DEADLINE_EXCEEDED
  // (time limit or watchdog), CANCELLED (within one step of `cancel`), DATA_LOSS (the bundle's
  // file is not the one that was verified), INTERNAL. After any error the trainer can be used
  // again.
  virtual absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) = 0;

  // CPU time of trainer processes that are not this one, in microseconds so far (for meters).
  virtual int64_t ChildCpuTimeUs() const { return 0; }
};

}  // namespace fedwatt
