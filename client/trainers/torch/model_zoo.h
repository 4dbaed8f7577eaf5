#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/bundle_header.h"

// Models that `fedwatt-torch new` makes without Python, as TorchScript text.
namespace fedwatt {

// A parameter that starts uniform in [-bound, bound].
struct ScriptParameter {
  std::string name;
  std::vector<int64_t> shape;
  double bound = 0;
};

// A submodule: self.<attribute> of class <class_name>, whose methods are `source`.
struct ScriptLayer {
  std::string attribute;
  std::string class_name;
  std::vector<ScriptParameter> parameters;
  std::string source;
};

struct ScriptNet {
  std::string name;
  std::string class_name;
  std::string description;
  ModelTask task = ModelTask::kClassification;
  std::vector<int64_t> input_shape;
  DType input_dtype = DType::kF32;
  std::vector<ScriptLayer> layers;
  std::string source;  // forward, loss, loss_from_output
};

struct ZooOptions {
  uint32_t classes = 10;                           // all but char-lstm
  std::vector<int64_t> hidden = {32};              // mlp: widths of the hidden layers
  std::vector<int64_t> input_shape = {1, 28, 28};  // mlp; CNNs: 1x28x28
  uint32_t vocabulary = 97;                        // char-lstm: codes of the dataset format "text"
  uint32_t sequence_length = 80;                   // char-lstm: characters of one example
};

// "mcmahan-cnn": the CNN of McMahan et al. 2017 (AISTATS): conv 5x5x32, pool, conv 5x5x64, pool,
//   fc 512, fc 10; 1,663,370 parameters for 10 classes.
// "small-cnn": conv 3x3x8 and conv 3x3x16, both of stride 2, and a linear layer; 9,098 parameters
// for
//   10 classes. For small devices and long simulations: a hundredth of the other's operations.
// "mlp": fully connected with ReLU.
// "char-lstm": their Shakespeare model: embedding 8, two LSTM layers of 256, next character.
// Parameters start as PyTorch's layers do: uniform within 1/sqrt(fan in) (LSTM: 1/sqrt(256),
// embedding: variance 1). Losses are cross entropies per example.
//
// INVALID_ARGUMENT: unknown name (with the nearest known), an option out of range.
absl::StatusOr<ScriptNet> ZooModel(const std::string& name, const ZooOptions& options);

std::vector<std::string> ZooNames();

}  // namespace fedwatt
