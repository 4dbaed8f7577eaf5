#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/signals.h"
#include "server/app/coordinator_config.h"
#include "server/driver/plugins.h"

// A coordinator as a process: store, coordinator and network, put together and taken apart in
// order. A program of one's own with further plug-ins is a main of three lines:
//
//   int main(int argc, char** argv) {
//     fedwatt::Plugins plugins = fedwatt::Plugins::Builtin();
//     plugins.selectors["mine"] = MakeMySelector;
//     return fedwatt::server::CoordinatorMain({argv + 1, argv + argc}, plugins);
//   }
namespace fedwatt::server {

// Parses, starts, logs that it is ready, waits for SIGINT or SIGTERM, stops. Gives the exit code
// (exit_codes.h). Call once per process, from its main thread.
int CoordinatorMain(const std::vector<std::string>& args, const Plugins& plugins);

}  // namespace fedwatt::server
