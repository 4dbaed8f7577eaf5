#pragma once

// Internal: training and evaluation of a loaded module. LibTorch types; see script_module.h.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "client/sdk/trainer.h"
#include "client/trainers/local_work/local_work.h"
#include "client/trainers/torch/script_module.h"
#include "client/trainers/torch/torch_checkpoint.h"
#include "common/base/rng.h"

namespace fedwatt::torch_internal {

// A module, the data it meets and where. Borrowed for one run.
struct Workload {
  torch::jit::Module& module;
  const BundleHeader& header;
  const Dataset& dataset;
  at::Device device;
  WorkMonitor& monitor;
};

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
//
// Goes on from what `checkpoint` has opened, if anything, and saves to it at `pace` and on
// cancellation.
absl::StatusOr<TrainingStats> Train(const Workload& work, const Plan& plan,
                                    const Trainable& trainable, const RngKey& shuffle,
                                    TorchCheckpoint* checkpoint, CheckpointPace pace);

struct EvaluationResult {
  LossSums sums;
  std::map<std::string, double> named;  // of the optional method metrics(x, y), per example
};

// Forward only, in large batches, over the given examples.
absl::StatusOr<EvaluationResult> Evaluate(const Workload& work,
                                          const std::vector<uint64_t>& examples);

}  // namespace fedwatt::torch_internal
