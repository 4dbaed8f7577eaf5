#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "client/trainers/local_work/checkpoint.h"
#include "common/model/plan.h"

// SGD with momentum (Nesterov's too), Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter
// 2019), in the form and order of operations that PyTorch gives them.
namespace fedwatt::portable {

class Optimizer {
 public:
  // For `tensors` tensors; their state is made at the first step.
  Optimizer(const OptimizerSpec& spec, size_t tensors) : spec_(spec), states_(tensors) {}

  // Floats of state for each trained number.
  static uint64_t StateFloats(const OptimizerSpec& spec);

  // Its state for a checkpoint, and back. Restore is false, and Clear due, if what is read does not
  // fit the tensors.
  void Describe(CheckpointPieces* content) const;
  bool Restore(const Manifest& manifest, CheckpointReader* reader);
  void Clear();

  // Call once before the tensors of a step.
  void BeginStep() { ++step_; }
  // Changes `values` by their gradients. Throws std::bad_alloc at the first step without memory.
  void Apply(size_t tensor, std::span<float> values, std::span<const float> gradient);

 private:
  struct State {
    std::vector<float> first;   // momentum, or the mean of gradients
    std::vector<float> second;  // mean of their squares
  };
  void ApplySgd(State& state, std::span<float> values, std::span<const float> gradient) const;
  void ApplyAdam(State& state, std::span<float> values, std::span<const float> gradient) const;

  const OptimizerSpec spec_;
  std::vector<State> states_;
  uint64_t step_ = 0;
};

}  // namespace fedwatt::portable
