#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/sdk/trainer.h"
#include "common/base/clock.h"

// Runs any bundle that carries a "torchscript" artifact, by LibTorch, in this process. It takes no
// LibTorch header to use. Graphs are untrusted: see operator_allow_list.h and archive_scan.h for
// what is refused before anything of them runs. Against what no check can find (endless loops, a
// crash inside an operator) run it in a process of its own: `fedwatt-torch worker`.
//
// What a module offers (docs/models.md):
//   forward(x), loss(x, y) -> [n] losses or their mean (a mean makes the sum of squared losses one
//   per batch, not per example); optional: loss_from_output(forward(x), y), which spares
//   evaluations a second forward pass; metrics(x, y) -> Dict[str, Tensor], reported as named
//   values.
//
// Equal requests give equal bits, whatever ran before: generators are seeded by (plan.seed, job,
// round, seed_key), graphs run unoptimised (a profiling executor would depend on history) on one
// thread. Buffers: kAverage are trained and sent; kLocal are this client's own, kept between rounds
// in TrainRequest::local_buffers_path and not sent (FedBN, Li et al. 2021); kFrozen keep the
// model's values.
namespace fedwatt {

struct TorchTrainerOptions {
  DatasetOpener open_dataset;          // OpenDataset of client/datasets, or a fake
  const Clock* clock = nullptr;        // outlives the trainer
  std::string device = "auto";         // "auto" (CUDA where there is one), "cpu", "cuda"
  std::vector<std::string> allow_ops;  // beside the built-in list
};

// One per process: LibTorch's generators and thread counts are process-wide, and belong to it.
// A loaded module and an opened dataset are kept for the next request that names the same.
//
// In requests an empty model_path means the bundle's own tensors; time_left_ms 0 means that only
// plan.time_limit_ms applies.
std::unique_ptr<Trainer> MakeTorchTrainer(const TorchTrainerOptions& options);

}  // namespace fedwatt
