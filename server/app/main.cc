#include "server/app/coordinator_daemon.h"

int main(int argc, char** argv) {
  return fedwatt::server::CoordinatorMain({argv + 1, argv + argc}, fedwatt::Plugins::Builtin());
}
