// The floor under a client's training: a plain LibTorch loop over an exported module, its data in
// one tensor. For each line of standard input one epoch is trained and its images a second printed.

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/optim/sgd.h>
#include <torch/script.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "client/datasets/dataset.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt::bench {
namespace {

struct Options {
  std::string module;
  std::string dataset;
  int64_t batch_size = 32;
  double lr = 0.05;
};

struct Examples {
  at::Tensor x;
  at::Tensor y;
};

absl::StatusOr<Examples> LoadExamples(const std::string& text) {
  FW_ASSIGN_OR_RETURN(const DatasetConfig config, DatasetConfig::Parse(text));
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const Dataset> dataset, OpenDataset(config));
  std::vector<uint64_t> all(dataset->size());
  std::iota(all.begin(), all.end(), uint64_t{0});
  Batch batch;
  FW_RETURN_IF_ERROR(dataset->Gather(all, &batch));
  const auto rows = static_cast<int64_t>(batch.n);
  Examples examples;
  examples.x = torch::from_blob(batch.x.data(), batch.x_shape, torch::kFloat32).clone();
  if (examples.x.dim() == 3) examples.x = examples.x.unsqueeze(1);
  examples.y = torch::from_blob(batch.y.data(), {rows}, torch::kInt64).clone();
  return examples;
}

double TrainEpoch(torch::jit::Module& module, const std::vector<at::Tensor>& parameters,
                  const Examples& examples, const Options& options, const Clock& clock) {
  torch::optim::SGD optimizer(parameters, torch::optim::SGDOptions(options.lr));
  torch::jit::Method loss_method = module.get_method("loss");
  const int64_t rows = examples.x.size(0);
  const int64_t begin_us = clock.MonotonicUs();
  for (int64_t begin = 0; begin < rows; begin += options.batch_size) {
    const int64_t end = std::min(rows, begin + options.batch_size);
    optimizer.zero_grad();
    at::Tensor loss =
        loss_method({examples.x.slice(0, begin, end), examples.y.slice(0, begin, end)}).toTensor();
    loss.mean().backward();
    optimizer.step();
  }
  const double seconds = static_cast<double>(clock.MonotonicUs() - begin_us) * 1e-6;
  return static_cast<double>(rows) / seconds;
}

absl::Status Run(const Options& options) {
  FW_ASSIGN_OR_RETURN(const Examples examples, LoadExamples(options.dataset));
  torch::jit::Module module = torch::jit::load(options.module);
  module.train();
  std::vector<at::Tensor> parameters;
  for (const at::Tensor& parameter : module.parameters()) {
    parameter.set_requires_grad(true);
    parameters.push_back(parameter);
  }
  const SystemClock clock;
  for (std::string line; std::getline(std::cin, line);) {
    std::printf("%.1f\n", TrainEpoch(module, parameters, examples, options, clock));
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

// As the client's trainer does: one thread for LibTorch and, where it is OpenBLAS, for BLAS.
void UseOneThread() {
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
  using SetThreads = void (*)(int);
  if (void* const set = dlsym(RTLD_DEFAULT, "openblas_set_num_threads")) {
    reinterpret_cast<SetThreads>(set)(1);
  }
}

int Main(int argc, char** argv) {
  CLI::App app{"A plain LibTorch training loop. Started by fedwatt-bench."};
  Options options;
  app.add_option("--module", options.module, "TorchScript archive")->required();
  app.add_option("--dataset", options.dataset, "name=format:path?option=value&...")->required();
  app.add_option("--batch-size", options.batch_size);
  app.add_option("--lr", options.lr);
  CLI11_PARSE(app, argc, argv);
  UseOneThread();
  try {
    const absl::Status status = Run(options);
    if (status.ok()) return 0;
    std::fprintf(stderr, "bench_torch_loop: %s\n", StatusText(status).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_torch_loop: %s\n", error.what());
  }
  return 1;
}

}  // namespace
}  // namespace fedwatt::bench

int main(int argc, char** argv) { return fedwatt::bench::Main(argc, argv); }
