#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "client/trainers/local_work/local_work.h"
#include "client/trainers/portable/network.h"
#include "client/trainers/portable/training_state.h"
#include "common/model/manifest.h"

// Training and evaluation of a network on a dataset, by a plan.
namespace fedwatt::portable {

// Borrowed for one run.
struct TrainingSetting {
  Network& network;
  const Dataset& dataset;
  const Plan& plan;
  const UpdateLayout& layout;               // what is trained
  const std::vector<const uint8_t*>& base;  // by tensor: its values at the start
  const Clock& clock;                       // for plan.step_time_limit_ms
  WorkMonitor& monitor;
  int64_t checkpoint_every_ms = 0;  // 0: when it is cancelled only
};

// Runs what is left of the plan's local epochs or steps after `state`; `shuffle` names the order of
// examples. Memory must have been checked. On cancellation the state is saved first, as it was
// after the last whole step.
absl::Status TrainNetwork(const TrainingSetting& setting, const RngKey& shuffle,
                          TrainingState* state);

// Forward only, in large batches, over the given examples.
absl::StatusOr<LossSums> EvaluateNetwork(Network& network, ModelTask task, const Dataset& dataset,
                                         const std::vector<uint64_t>& examples,
                                         const WorkMonitor& monitor);

// out = now - base, where `base` are float32 that need not be aligned.
void DeltaFrom(const uint8_t* base, std::span<const float> now, float* out);

}  // namespace fedwatt::portable
