#pragma once

// Internal: checkpoints of a training. LibTorch types; see script_module.h.

#include <torch/csrc/jit/api/module.h>
#include <torch/optim/optimizer.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/trainers/local_work/checkpoint.h"
#include "common/model/manifest.h"

namespace fedwatt::torch_internal {

// Results from before the first step.
struct FirstLosses {
  std::optional<LossSums> sums;
  std::map<std::string, double> named;
};

// How far a training has come: parameters and buffers, the optimizer's state, LibTorch's random
// numbers on the CPU, steps and first losses. What a module keeps in other attributes than tensors
// is not in it: see SetsAttributes.
//
//   Open -> { Restore }? -> Save...
class TorchCheckpoint {
 public:
  // `checkpoints` may be null: nothing is found, and nothing saved. `examples`: of the dataset,
  // which must not have changed.
  TorchCheckpoint(Checkpoints* checkpoints, const Manifest& manifest, uint64_t examples)
      : checkpoints_(checkpoints), manifest_(manifest), examples_(examples) {}

  // True if there is something to go on from: steps and first losses say what.
  bool Open();
  uint64_t steps() const { return steps_; }
  const FirstLosses& first() const { return first_; }
  void set_first(FirstLosses first) { first_ = std::move(first); }

  // After Open: `tensors` (in manifest order), `optimizer` and the generator are as they were.
  // Throws what LibTorch throws.
  void Restore(const std::vector<at::Tensor>& tensors, torch::optim::Optimizer& optimizer) const;

  // False: it was not written, which is nobody's failure.
  bool Save(uint64_t steps, const std::vector<at::Tensor>& tensors,
            const torch::optim::Optimizer& optimizer);
  bool can_save() const { return checkpoints_ != nullptr; }
  uint64_t saved_steps() const { return saved_steps_; }

 private:
  Checkpoints* const checkpoints_;
  const Manifest& manifest_;
  const uint64_t examples_;
  uint64_t steps_ = 0;
  uint64_t saved_steps_ = 0;
  FirstLosses first_;
  ByteSpan tensors_;  // of what was found, like the following
  ByteSpan generator_;
  ByteSpan optimizer_;
};

// Whether a method assigns to an attribute of its module, where a checkpoint would not see it.
bool SetsAttributes(const torch::jit::Module& module);

}  // namespace fedwatt::torch_internal
