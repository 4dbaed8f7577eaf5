#pragma once

#include <memory>

#include "client/sdk/trainer.h"
#include "common/base/clock.h"

// Trains bundles that carry a training graph (common/graph, docs/portable.md) on the CPU, without
// LibTorch. What it trains cannot loop or call, so it needs no process of its own: memory is
// counted before it is taken, and cancellation and time limits are looked at between two layers.
//
// The same plan gives the same batches as with LibTorch, and deltas that agree to 1e-5. Equal
// requests give equal bits on one kind of processor. One thread.
namespace fedwatt {

struct PortableTrainerOptions {
  DatasetOpener open_dataset;    // OpenDataset of client/datasets, or a fake
  const Clock* clock = nullptr;  // outlives the trainer
  // Of tensors, values, gradients and optimizer state; a plan can only lower it. The message of
  // RESOURCE_EXHAUSTED says what a plan needs.
  uint64_t memory_limit_bytes = uint64_t{1} << 30;
};

// Besides Trainer's errors: INVALID_ARGUMENT for a bundle without a graph or with one that does not
// fit its manifest. An opened dataset is kept for the next request that names the same. In requests
// an empty model_path means the bundle's own tensors; time_left_ms 0 means that only
// plan.time_limit_ms applies.
std::unique_ptr<Trainer> MakePortableTrainer(const PortableTrainerOptions& options);

}  // namespace fedwatt
