#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

// fedwatt-torch, the only program that knows TorchScript: this one never loads a model.
namespace fedwatt::cli {

// Its path: as told, beside this program, or to be looked up in PATH.
std::string TorchTool(const std::string& told);

// Runs it to its end; what it prints to standard output is dropped, errors go to ours. NOT_FOUND:
// no such program. INTERNAL: it failed.
absl::Status RunTorchTool(const std::string& tool, const std::vector<std::string>& arguments);

}  // namespace fedwatt::cli
