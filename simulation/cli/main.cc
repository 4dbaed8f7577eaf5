// fedwatt: the operator's command line.

#include "server/cli/program.h"
#include "simulation/cli/simulate_command.h"

int main(int argc, char** argv) {
  return fedwatt::cli::Program(argc, argv, fedwatt::cli::AddSimulateCommands);
}
