#pragma once

// A coordinator on the network: the client service, the admin service, health and reflection on one
// port.
//
//   FW_ASSIGN_OR_RETURN(auto server, GrpcServer::Start(options, deps));
//   ... server->port() ...
//   coordinator->Shutdown();     // answers the long polls
//   server->Shutdown(1000);      // then nothing calls the coordinator or the executor any more

#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/transport/endpoint.h"
#include "common/transport/tls_credentials.h"
#include "server/driver/grpc_adapter/admin_service.h"
#include "server/driver/grpc_adapter/call_deps.h"
#include "server/driver/grpc_adapter/client_service.h"
#include "server/driver/grpc_adapter/transport_memory.h"

namespace fedwatt {

struct GrpcServerOptions {
  Endpoint listen;                             // port 0: any
  std::optional<TlsFiles> tls;                 // none: insecure, loopback only
  uint64_t buffer_bytes = uint64_t{64} << 20;  // of gRPC's own buffers (transport_memory.h)
};

// Thread-safe.
class GrpcServer {
 public:
  // FAILED_PRECONDITION: the port is in use (says how to find who has it), or insecure off
  // loopback. PERMISSION_DENIED, NOT_FOUND: the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           CallDeps deps);
  ~GrpcServer();

  const TransportMemory& memory() const { return memory_; }
  uint16_t port() const { return static_cast<uint16_t>(port_); }

  // Refuses new calls at once, lets running ones go on for `grace_ms`, then cancels them. Returns
  // when the last has ended. Idempotent.
  void Shutdown(int64_t grace_ms);

 private:
  GrpcServer(const GrpcServerOptions& options, CallDeps deps);

  TransportMemory memory_;
  const CallDeps deps_;
  ClientService client_service_;
  AdminService admin_service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace fedwatt
