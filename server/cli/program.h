#pragma once

#include <functional>

#include "CLI/CLI.hpp"
#include "server/cli/context.h"

// The operator's command line, `fedwatt`, but for the commands that need more than the server's
// side: a main adds those.
namespace fedwatt::cli {

// What the chosen command will do once the flags are read; gives the exit code.
using Action = std::function<int(const Context&)>;
using AddCommands = std::function<void(CLI::App&, Action*)>;

// Reads the flags and runs the command. `more` may be null.
int Program(int argc, char** argv, const AddCommands& more);

}  // namespace fedwatt::cli
