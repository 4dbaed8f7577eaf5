#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/datasets/dataset.h"
#include "client/sdk/trainer.h"
#include "client/trainers/local_work/checkpoint.h"
#include "client/trainers/local_work/local_work.h"
#include "common/base/clock.h"

// One request on a TorchScript module, wherever its model comes from and its result goes to: files
// of the client (torch_trainer.h), or a task of an embedded client (client/capi/torch). It takes no
// LibTorch header to use. What is refused, and what makes equal requests give equal bits, is said
// in torch_trainer.h.
namespace fedwatt {

inline constexpr char kTorchScriptFormat[] = "torchscript";  // Artifact::format

// Borrowed for one run.
struct TorchInputs {
  const TrainRequest& request;  // kind, plan and keys; none of its paths
  const BundleHeader& header;
  ByteSpan archive;  // the artifact; empty: the bundle has none
  // By tensor of the manifest: what it starts from. Need not be aligned.
  std::vector<const uint8_t*> base;
  const Dataset& dataset;
  const Clock& clock;
  WorkMonitor& monitor;
  Checkpoints* checkpoints = nullptr;  // may be null
};

// Prepare -> Evaluate | Train -> Forget, any number of times, each time from one thread. One object
// per process: LibTorch's generators and thread counts are process-wide, and belong to it. What
// LibTorch throws becomes an error, one of Trainer's.
class TorchWork {
 public:
  // `device`: "auto" (CUDA where there is one), "cpu" or "cuda". `allow_ops`: beside the built-in
  // list.
  TorchWork(const std::string& device, const std::vector<std::string>& allow_ops);
  ~TorchWork();

  // The module is kept for the next request that has the same archive.
  absl::Status Prepare(TorchInputs inputs);

  absl::Status Evaluate(UpdateMetrics* metrics);

  // Calls `write` when the module is trained, before it is evaluated.
  absl::Status Train(const std::function<absl::Status()>& write, UpdateMetrics* metrics);

  // Frees what belongs to the request. To be called after errors, too.
  void Forget();

  // ---- for `write`

  const UpdateLayout& layout() const;   // of the update
  const UpdateLayout& buffers() const;  // all buffers, whatever the plan says
  // The bytes of a tensor of the manifest, as many as it has.
  void CopyTensor(size_t tensor, uint8_t* out) const;
  // New - old of a trained tensor, all elements. INVALID_ARGUMENT if one is not finite.
  absl::Status Delta(const UpdateLayout::Piece& piece, std::span<float> out) const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace fedwatt
