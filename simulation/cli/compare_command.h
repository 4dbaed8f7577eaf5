#pragma once

#include <string>
#include <vector>

#include "server/cli/program.h"

// `fedwatt simulate compare` (docs/comparison.md).
namespace fedwatt::cli {

struct CompareOptions {
  std::string matrix;
  std::string out;    // folder; empty: beside us, named after the matrix
  std::string phase;  // "tune", "confirm"; empty: both
  std::vector<std::string> only;
  std::string seeds_of;
  std::string reference;  // instead of the matrix's
  std::string of_code;    // reports on the runs of that code, and runs nothing
  std::string html;
  std::string markdown;
  std::string plots;  // folder
  int workers = 1;
  std::string torch_tool;
};

// 0: all runs are there; 1: some failed. What they came to does not change it.
int Compare(const Context& context, const CompareOptions& options);

// Below `simulate`.
void AddCompareCommand(CLI::App* simulate, Action* action);

}  // namespace fedwatt::cli
