#include "client/app/session_setup.h"

#include <functional>
#include <optional>
#include <utility>

#include "client/app/condition_setup.h"
#include "client/app/exit_codes.h"
#include "client/sdk/grpc_transport.h"
#include "common/base/log.h"

namespace fedwatt::client {
namespace {

// Absent stays absent.
std::optional<double> Times(const std::optional<double>& value, double factor) {
  return value.has_value() ? std::optional(*value * factor) : std::nullopt;
}

CostEstimate StatedCosts(const ClientConfig& config) {
  constexpr double kBytesPerMbit = 1e6 / 8;
  CostEstimate costs;
  costs.up_bytes_per_s = Times(config.link_up_mbps, kBytesPerMbit);
  costs.down_bytes_per_s = Times(config.link_down_mbps, kBytesPerMbit);
  costs.up_joules_per_byte = Times(config.joules_per_mb_up, 1e-6);
  costs.down_joules_per_byte = Times(config.joules_per_mb_down, 1e-6);
  return costs;
}

}  // namespace

SessionOptions MakeSessionOptions(const ClientConfig& config, const ClientIdentity& identity) {
  SessionOptions options;
  options.state_dir = config.state_dir;
  options.cache_limit_bytes = config.cache_limit_bytes;
  options.sync = !config.no_sync;
  options.client_id = identity.subject;
  options.app_version = config.app_version;
  options.tenant = config.tenant;
  options.population = config.population;
  options.role = identity.role;
  options.device_class = config.device_class;
  options.memory_bytes = config.memory_limit_bytes;
  options.labels = config.labels;
  options.stated_costs = StatedCosts(config);
  options.telemetry_level = config.telemetry_level;
  options.rules = RulesOf(config);
  options.condition_check_ms = static_cast<int64_t>(config.condition_check_s * 1000);
  options.checkpoint_every_ms = static_cast<int64_t>(config.checkpoint_every_s * 1000);
  options.pause_limit_ms = static_cast<int64_t>(config.pause_limit_s * 1000);
  return options;
}

absl::StatusOr<std::unique_ptr<ClientTransport>> Connect(const ClientIdentity& identity,
                                                         const std::string& address,
                                                         const Clock* clock, Executor* executor) {
  GrpcTransportOptions options;
  options.address = address;
  options.tls = identity.tls;
  options.subject = identity.subject;
  options.role = identity.role;
  return MakeGrpcTransport(std::move(options), clock, executor);
}

std::function<std::shared_ptr<ClientTransport>(const std::string&)> FollowForwards(
    const ClientIdentity& identity, const Clock* clock, Executor* executor) {
  return
      [identity, clock, executor](const std::string& address) -> std::shared_ptr<ClientTransport> {
        absl::StatusOr<std::unique_ptr<ClientTransport>> next =
            Connect(identity, address, clock, executor);
        if (next.ok()) return *std::move(next);
        LogWarning("cannot follow the forward", {{"why", std::string(next.status().message())}});
        return nullptr;
      };
}

int SetupExitCode(const absl::Status& status) {
  if (absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status)) return kRefused;
  return kUnusable;
}

int Complain(const absl::Status& status, const std::string& what, int exit_code) {
  LogError("cannot start", {{"what", what}, {"why", std::string(status.message())}});
  return exit_code;
}

}  // namespace fedwatt::client
