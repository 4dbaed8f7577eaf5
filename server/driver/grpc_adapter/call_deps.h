#pragma once

// What every handler needs, and the first thing that each of them does.

#include <grpcpp/server_context.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/transport/authenticator.h"
#include "common/transport/grpc_status.h"
#include "common/transport/peer_info.h"
#include "server/driver/coordinator.h"
#include "server/driver/grpc_adapter/transport_memory.h"
#include "server/driver/grpc_adapter/upload_budget.h"

namespace fedwatt {

// Everything pointed to outlives the server.
struct CallDeps {
  Coordinator* coordinator = nullptr;
  Authenticator* authenticator = nullptr;
  Executor* executor = nullptr;  // for what may block: files, the store
  UploadBudget* budget = nullptr;
  TransportMemory* memory = nullptr;  // the server sets it
  const Clock* clock = nullptr;
  int64_t upload_wait_ms = 0;  // for room in the budget, then RESOURCE_EXHAUSTED
  int64_t stream_idle_ms = 0;  // a stream that sends nothing so long is ended
  std::string data_dir;        // temporary files go here; its free bytes are reported
  std::string version;
  std::vector<std::string> selectors;
  std::vector<std::string> strategies;
  std::vector<std::string> aggregators;
  std::vector<std::string> codecs;
};

using RoleCheck = absl::Status (*)(const Principal& who, const std::string& what);

// The caller, if `allowed` lets its role do `what`.
inline absl::StatusOr<Principal> Admit(const CallDeps& deps, const grpc::ServerContextBase& context,
                                       RoleCheck allowed, const std::string& what) {
  absl::StatusOr<Principal> who = deps.authenticator->Authenticate(PeerInfoOf(context));
  if (!who.ok()) return who;
  const absl::Status role = allowed(*who, what);
  if (!role.ok()) return role;
  return who;
}

// Admits the caller, then runs `body` on the executor and answers with its status. Request and
// response stay valid until then.
inline grpc::ServerUnaryReactor* RunUnary(const CallDeps& deps,
                                          grpc::CallbackServerContext* context, RoleCheck allowed,
                                          const std::string& what,
                                          std::function<absl::Status(const Principal&)> body) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::StatusOr<Principal> who = Admit(deps, *context, allowed, what);
  if (!who.ok()) {
    reactor->Finish(ToGrpcStatus(who.status(), context));
    return reactor;
  }
  deps.executor->Post([reactor, context, who = *who, body = std::move(body)] {
    reactor->Finish(ToGrpcStatus(body(who), context));
  });
  return reactor;
}

}  // namespace fedwatt
