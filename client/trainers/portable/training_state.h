#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/trainers/local_work/checkpoint.h"
#include "client/trainers/portable/network.h"
#include "client/trainers/portable/optimizer.h"

namespace fedwatt::portable {

// What a training has come to, beside its network: the optimizer's state, the steps done, and the
// losses from before the first of them. Checkpoints hold it with all tensors of the network.
//
//   Restore -> { BeginStep -> (optimizer) -> StepDone | UndoStep }* -> Save
class TrainingState {
 public:
  // `examples`: of the dataset, which must not have changed. `checkpoints` may be null: nothing is
  // found, and nothing saved.
  TrainingState(const Manifest& manifest, const OptimizerSpec& spec, uint64_t examples,
                Checkpoints* checkpoints);

  // True if there was a checkpoint; network and state are now as it says. To be called before the
  // first step.
  bool Restore(Network& network);
  // False: it could not be written, which is nobody's failure.
  bool Save(Network& network);
  bool can_save() const { return checkpoints_ != nullptr; }

  // What a forward pass changes (running statistics) is put back by UndoStep.
  void BeginStep(Network& network);
  void UndoStep(Network& network);
  void StepDone() { ++steps_; }

  uint64_t steps() const { return steps_; }
  uint64_t saved_steps() const { return saved_steps_; }
  Optimizer& optimizer() { return optimizer_; }
  const std::optional<LossSums>& before() const { return before_; }
  void set_before(const std::optional<LossSums>& before) { before_ = before; }

 private:
  const Manifest& manifest_;
  const uint64_t examples_;
  Checkpoints* const checkpoints_;
  Optimizer optimizer_;
  uint64_t steps_ = 0;
  uint64_t saved_steps_ = 0;
  std::optional<LossSums> before_;
  std::vector<std::vector<uint8_t>> buffers_;  // at the step's beginning; by tensor
};

}  // namespace fedwatt::portable
