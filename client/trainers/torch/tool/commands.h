#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/trainers/torch/model_zoo.h"

// The commands of fedwatt-torch. Each prints its result to standard output, as text or (json) one
// JSON object, and returns what main turns into an exit code and a line on standard error.
namespace fedwatt::tool {

struct CommonArgs {
  bool json = false;
  std::vector<std::string> allow_ops;
};

struct NewArgs {
  std::string model;
  std::string output;
  std::string key;  // PEM file of the owner's signing key; empty: unsigned
  std::string name;
  uint64_t seed = 1;
  ZooOptions zoo;
};
absl::Status RunNew(const NewArgs& args, const CommonArgs& common);

struct ImportArgs {
  std::string file;
  std::string output;
  std::string key;
  std::string name;
  std::string description;
  std::string task = "classification";
  std::vector<int64_t> input_shape;
  std::string input_dtype = "float32";
};
absl::Status RunImport(const ImportArgs& args, const CommonArgs& common);

absl::Status RunInspect(const std::string& file, const CommonArgs& common);

struct ExportArgs {
  std::string file;
  std::string output;
  bool module_only = false;
};
absl::Status RunExport(const ExportArgs& args, const CommonArgs& common);

struct EvaluateArgs {
  std::string file;
  std::string dataset;
  uint32_t max_examples = 0;
  std::string device = "auto";
};
absl::Status RunEvaluate(const EvaluateArgs& args, const CommonArgs& common);

// Trains a few local steps from the bundle's tensors and writes what a client would send: the
// float32 delta of the trainable tensors, in manifest order.
struct UpdateArgs {
  std::string file;
  std::string dataset;
  std::string output;
  uint32_t steps = 20;
  uint32_t batch_size = 32;
  double lr = 0.05;
  uint64_t seed = 1;
  std::string device = "auto";
};
absl::Status RunUpdate(const UpdateArgs& args, const CommonArgs& common);

struct WorkerArgs {
  int fd = -1;
  uint64_t keep_datasets = 1;  // in memory: of a process that trains for many clients
};
// Serves the client at the other end of socket `fd` until it closes. Does not return then: the
// process ends, also in the middle of training.
absl::Status RunWorker(const WorkerArgs& args, const CommonArgs& common);

// 0 OK; 1 failed; 3 model or data refused; 4 no such file. (2 is wrong usage.)
int ExitCode(const absl::Status& status);

}  // namespace fedwatt::tool
