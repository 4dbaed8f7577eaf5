#pragma once

// Internal: training and evaluation of a loaded module. LibTorch types; see script_module.h.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "client/sdk/trainer.h"
#include "client/trainers/torch/script_module.h"
#include "common/base/clock.h"
#include "common/base/rng.h"

namespace fedwatt::torch_internal {

// Decides between two steps whether work goes on, and tells who waits how far it is.
class WorkMonitor {
 public:
  using ProgressFn = std::function<void(const TrainProgress&)>;

  // `deadline_us` on clock.MonotonicUs(); `limit_ms` is for the message. All outlive the monitor.
  WorkMonitor(const Clock& clock, int64_t deadline_us, int64_t limit_ms,
              const std::atomic<bool>& cancel, const ProgressFn& progress);

  void ExpectSteps(uint64_t total) { state_.steps_total = total; }

  // CANCELLED or DEADLINE_EXCEEDED.
  absl::Status Check() const;

  // A batch was evaluated (or something else ended that is no training step).
  void Alive() const;
  void StepDone(double loss);

  uint64_t steps_done() const { return state_.steps_done; }

 private:
  const Clock& clock_;
  const int64_t deadline_us_;
  const int64_t limit_ms_;
  const std::atomic<bool>& cancel_;
  const ProgressFn& progress_;
  TrainProgress state_;
};

// A module, the data it meets and where. Borrowed for one run.
struct Workload {
  torch::jit::Module& module;
  const BundleHeader& header;
  const Dataset& dataset;
  at::Device device;
  WorkMonitor& monitor;
};

// OK when one example fits the bundle's input (equal dtype; equal shape, or as many elements).
absl::Status CheckInput(const BundleHeader& header, const Dataset& dataset);

struct TrainingStats {
  uint64_t examples = 0;  // distinct
  uint64_t steps = 0;
};

// What training changes, with its values at the start: base[i] belongs to parameters[i].
struct Trainable {
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> base;
};

// Runs the plan's local epochs or steps; `shuffle` names the order of examples. Every example of an
// epoch is seen once, the last batch of an epoch may be smaller.
absl::StatusOr<TrainingStats> Train(const Workload& work, const Plan& plan,
                                    const Trainable& trainable, const RngKey& shuffle);

struct EvaluationResult {
  LossSums sums;
  std::map<std::string, double> named;  // of the optional method metrics(x, y), per example
};

// Forward only, in large batches, over the given examples.
absl::StatusOr<EvaluationResult> Evaluate(const Workload& work,
                                          const std::vector<uint64_t>& examples);

// At most `limit` (0: all) of the dataset's examples, sorted: always the same ones for a key.
std::vector<uint64_t> FixedSubset(uint64_t size, uint64_t limit, const RngKey& key);

}  // namespace fedwatt::torch_internal
