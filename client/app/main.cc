#include <cstdio>
#include <string>
#include <vector>

#include "client/app/agent.h"
#include "client/app/client_config.h"
#include "client/app/exit_codes.h"
#include "client/app/virtual_clients.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/transport/grpc_log.h"

namespace fedwatt::client {
namespace {

int Main(const std::vector<std::string>& args) {
  const ParsedCommandLine parsed = ParseCommandLine(args);
  if (parsed.exit_code.has_value()) {
    std::fputs(parsed.text.c_str(), *parsed.exit_code == kOk ? stdout : stderr);
    return *parsed.exit_code;
  }
  LogOptions log;
  log.json = parsed.config.log_json;
  log.level = ParseLogLevel(parsed.config.log_level).value_or(LogLevel::kInfo);
  ConfigureLogging(log);
  RouteGrpcLog();
  const SystemClock clock;
  if (parsed.config.check) {
    const ClientConfig& config = parsed.config;
    return RunCheck(
        config.virtual_clients > 0 ? ConfigOfVirtual(config, config.virtual_first) : config, clock);
  }
  const auto shutdown = ShutdownSignal::Install();
  if (!shutdown.ok()) {
    LogError("cannot start", {{"why", std::string(shutdown.status().message())}});
    return kError;
  }
  if (parsed.config.virtual_clients > 0) {
    return RunVirtualClients(parsed.config, clock, shutdown->get());
  }
  return RunAgent(parsed.config, clock, shutdown->get());
}

}  // namespace
}  // namespace fedwatt::client

int main(int argc, char** argv) { return fedwatt::client::Main({argv + 1, argv + argc}); }
