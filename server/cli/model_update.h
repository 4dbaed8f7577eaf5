#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/codec/codec.h"

// A model's real update, for `fedwatt codec compare`.
namespace fedwatt::cli {

struct UpdateSource {
  std::string bundle;      // empty: no matrices are known, and nothing can be trained
  std::string file;        // float32 in manifest order, as `fedwatt-torch update` writes it
  std::string dataset;     // name=format:path?..., to train upon when there is no file
  std::string torch_tool;  // path of fedwatt-torch; empty: beside this program, else PATH
};

struct ModelUpdate {
  std::vector<float> values;  // empty: none could be had
  std::vector<MatrixShape> matrices;
  std::string note;  // why there is none, and what to pass; else where it is from
};

// Reads the file, or has fedwatt-torch train a few steps: on the dataset that was named, or on
// Fashion-MNIST where it is installed and the model takes 1x28x28. Only what was asked for by name
// can fail; an update that nobody asked for is just not there.
absl::StatusOr<ModelUpdate> GetModelUpdate(const UpdateSource& source);

}  // namespace fedwatt::cli
