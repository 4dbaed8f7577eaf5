#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/app/client_config.h"
#include "client/app/setup.h"
#include "client/sdk/session.h"
#include "common/base/clock.h"
#include "common/base/executor.h"

// What one agent and many virtual ones have in common.
namespace fedwatt::client {

// All but keys and datasets.
SessionOptions MakeSessionOptions(const ClientConfig& config, const ClientIdentity& identity);

absl::StatusOr<std::unique_ptr<ClientTransport>> Connect(const ClientIdentity& identity,
                                                         const std::string& address,
                                                         const Clock* clock, Executor* executor);

// For SessionDeps::connect: follows a coordinator's forward, or says in the log why not. What it
// points to outlives the session.
std::function<std::shared_ptr<ClientTransport>(const std::string&)> FollowForwards(
    const ClientIdentity& identity, const Clock* clock, Executor* executor);

// What the process ends with if the parts of a session cannot be set up.
int SetupExitCode(const absl::Status& status);
// Logs it and returns `exit_code`.
int Complain(const absl::Status& status, const std::string& what, int exit_code);

}  // namespace fedwatt::client
