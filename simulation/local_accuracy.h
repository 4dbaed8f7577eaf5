#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "common/bundle/bundle.h"
#include "simulation/training_bench.h"

namespace fedwatt {

// How well one model serves each device: its accuracy on each of `datasets`, in their order.
// `bundle_path` is the file of `bundle`; `model_path` its flat tensors. FAILED_PRECONDITION: the
// task has no accuracy.
absl::StatusOr<std::vector<double>> LocalAccuracies(const std::shared_ptr<const Bundle>& bundle,
                                                    const std::string& bundle_path,
                                                    const std::string& model_path,
                                                    const std::vector<DatasetConfig>& datasets,
                                                    TrainingBench* bench);

// Mean of the lowest tenth (rounded up) of `values`, which must not be empty.
double WorstDecile(std::vector<double> values);

// (sum x)^2 / (n sum x^2), 1/n to 1: 1 where all are alike (Jain, Chiu, Hawe 1984); 1 for zeros.
double JainIndex(const std::vector<double>& values);

}  // namespace fedwatt
