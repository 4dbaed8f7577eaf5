#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "client/datasets/dataset.h"
#include "client/sdk/trainer.h"
#include "client/trainers/local_work/checkpoint.h"
#include "client/trainers/local_work/local_work.h"
#include "client/trainers/portable/network.h"
#include "common/graph/training_graph.h"

// One request on a training graph, wherever its model comes from and its result goes to: files of
// the client (portable_trainer.h), or a task of an embedded client (client/capi/portable).
namespace fedwatt::portable {

// Borrowed for one run.
struct GraphInputs {
  const TrainRequest& request;  // kind, plan and keys; none of its paths
  const BundleHeader& header;
  ByteSpan graph;  // the artifact; empty: the bundle has none
  // By tensor of the manifest: what it starts from. Need not be aligned.
  std::vector<const uint8_t*> base;
  const Dataset& dataset;
  uint64_t memory_limit_bytes = 0;  // a plan can only lower it
  const Clock& clock;
  WorkMonitor& monitor;
  Checkpoints* checkpoints = nullptr;  // may be null
};

// Prepare -> Evaluate | Train. One thread. Throws std::bad_alloc; errors are Trainer's.
class GraphWork {
 public:
  explicit GraphWork(GraphInputs inputs);

  absl::Status Prepare();

  absl::Status Evaluate(UpdateMetrics* metrics);

  // Calls `write` when the network is trained, before it is evaluated.
  absl::Status Train(const std::function<absl::Status()>& write, UpdateMetrics* metrics);

  // ---- for `write`

  const UpdateLayout& layout() const { return layout_; }    // of the update
  const UpdateLayout& buffers() const { return buffers_; }  // all buffers, whatever the plan says
  ByteSpan TensorBytes(size_t tensor) const { return network_->TensorBytes(tensor); }
  // New - old of a trained tensor from its element `first` on, as many as `out` holds.
  // INVALID_ARGUMENT if one is not finite.
  absl::Status Delta(const UpdateLayout::Piece& piece, uint64_t first, std::span<float> out);

 private:
  absl::Status CheckMemory() const;
  absl::Status EvaluateInto(const std::vector<uint64_t>& examples, std::optional<LossSums>* sums,
                            UpdateMetrics* metrics);
  absl::Status TrainFrom(const std::vector<uint64_t>& evaluated, UpdateMetrics* metrics);
  void RestoreFrozenBuffers();

  const GraphInputs in_;
  const Plan& plan_;
  TrainingGraph graph_;
  UpdateLayout layout_;
  UpdateLayout buffers_;
  std::unique_ptr<Network> network_;
};

}  // namespace fedwatt::portable
