#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "client/trainers/portable/layer_op.h"
#include "common/model/fleet.h"

// Losses of a training graph, and what reports say of a batch.
namespace fedwatt::portable {

// Targets of one batch, checked against the value that they are compared with. Borrows the batch.
struct Targets {
  const int64_t* classes = nullptr;
  const float* numbers = nullptr;
};

// INVALID_ARGUMENT when dtype or shape of the targets do not fit, naming both. `compared` and
// `output` are shapes of one example.
absl::StatusOr<Targets> TargetsOf(const Batch& batch, const LossSpec& loss, const Shape& compared,
                                  const Shape& output);

// One loss per example, or one for all (LossReduction::kMeanOfBatch).
struct BatchLoss {
  std::vector<double> losses;
  double mean = 0;  // what training descends
};

// `values` are n examples of shape `compared`. With `grad`, adds the gradient of the mean there.
// INVALID_ARGUMENT: a target that is no class.
absl::StatusOr<BatchLoss> ComputeLoss(const LossSpec& loss, uint64_t n, const Shape& compared,
                                      const float* values, const Targets& targets, float* grad);

// A loss of all stands for every example's.
void AddLosses(const BatchLoss& loss, uint64_t n, LossSums* sums);

// Class scores in dimension 1 against classes; negative ones are padding.
void CountCorrect(uint64_t n, const Shape& output, const float* values, const Targets& targets,
                  LossSums* sums);

}  // namespace fedwatt::portable
