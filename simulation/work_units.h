#pragma once

#include <cstdint>

#include "client/datasets/dataset.h"
#include "common/model/plan.h"

// How much work an assignment is, before it is done: virtual time goes by it.
namespace fedwatt {

// The dataset's option "examples"; 100 where there is none.
uint64_t ExamplesOf(const DatasetConfig& dataset);

// Optimizer steps of one training on so many examples.
uint64_t StepsOf(const Plan& plan, uint64_t examples);

// Floating-point operations: 6 a parameter and example (forward 2, backward 4), as the
// coordinator's prior assumes (server/prediction/cost_predictor.h); an evaluation takes 2.
double TrainingFlops(const Plan& plan, uint64_t parameters, uint64_t examples);
double EvaluationFlops(const Plan& plan, uint64_t parameters, uint64_t examples);

}  // namespace fedwatt
