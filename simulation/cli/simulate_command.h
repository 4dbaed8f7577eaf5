#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/cli/program.h"

// `fedwatt simulate` (docs/simulation.md).
namespace fedwatt::cli {

struct SimulateOptions {
  std::string job_file;
  std::vector<std::string> set;
  std::string bundle;
  uint64_t parameters = 10'000;  // of the synthetic model, without a bundle
  uint64_t clients = 100;
  uint64_t seed = 1;
  std::string fleet;
  std::string trainer = "synthetic";
  int workers = 1;
  std::string torch_tool;
  std::string dataset;
  std::string evaluation_dataset;
  std::string local_evaluation_dataset;
  std::vector<std::string> carbon;  // [REGION=]FILE
  std::string surplus;
  std::string scratch;
  std::string trace;
  bool explain = false;
  std::string series;  // CSV
  std::string html;
  std::string tensorboard;
  std::string measures;          // JSON
  std::optional<double> target;  // of the mean over `window` evaluations
  uint32_t window = 5;
  bool end_at_target = false;
  bool check = false;
  uint64_t seeds = 1000;
};

// 0: the job completed; 1: it did not, or a check was violated; 7: it missed one of its [targets].
int Simulate(const Context& context, const SimulateOptions& options);

void AddSimulateCommands(CLI::App& app, Action* action);

}  // namespace fedwatt::cli
