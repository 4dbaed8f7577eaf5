#include "server/driver/grpc_adapter/grpc_server.h"

#include <arpa/inet.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/errno_text.h"
#include "common/transport/channel.h"

namespace fedwatt {
namespace {

constexpr int64_t kDestructionGraceMs = 1000;

absl::Status BindError(const Endpoint& listen, int error_number) {
  const std::string what =
      absl::StrCat("cannot listen on ", listen.ToString(), ": ", ErrnoText(error_number));
  switch (error_number) {
    case EADDRINUSE:
      return absl::FailedPreconditionError(
          absl::StrCat(what, "; port ", listen.port, " is in use: find the holder with  ss -ltnp ",
                       "'sport = :", listen.port, "'  or choose another port with --listen"));
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat(what, "; ports below 1024 need a privilege: choose a higher one"));
    default:
      return absl::NotFoundError(
          absl::StrCat(what, "; choose an address of this machine (ip address), or 0.0.0.0"));
  }
}

// gRPC does not say why it could not listen: tries the same bind to get the reason. OK if this one
// succeeds.
absl::Status TryBind(const Endpoint& listen) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(listen.port);
  if (const int error = getaddrinfo(listen.host.c_str(), port.c_str(), &hints, &found);
      error != 0) {
    return absl::NotFoundError(
        absl::StrCat("cannot listen on ", listen.ToString(), ": ", gai_strerror(error)));
  }
  absl::Status status;
  for (const addrinfo* it = found; it != nullptr && status.ok(); it = it->ai_next) {
    const int fd = socket(it->ai_family, it->ai_socktype | SOCK_CLOEXEC, it->ai_protocol);
    if (fd < 0) continue;
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, it->ai_addr, it->ai_addrlen) != 0 || ::listen(fd, 1) != 0) {
      status = BindError(listen, errno);
    }
    close(fd);
  }
  freeaddrinfo(found);
  return status;
}

CallDeps WithMemory(CallDeps deps, TransportMemory* memory) {
  deps.memory = memory;
  return deps;
}

}  // namespace

GrpcServer::GrpcServer(const GrpcServerOptions& options, CallDeps deps)
    : memory_(options.buffer_bytes),
      deps_(WithMemory(std::move(deps), &memory_)),
      client_service_(&deps_),
      admin_service_(&deps_) {}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              CallDeps deps) {
  if (!options.tls.has_value() && !options.listen.IsLoopback()) {
    return absl::FailedPreconditionError(
        absl::StrCat("insecure mode listens on loopback only, and ", options.listen.ToString(),
                     " is not; use 127.0.0.1, or certificates"));
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  std::unique_ptr<GrpcServer> server(new GrpcServer(options, std::move(deps)));
  grpc::ServerBuilder builder;
  ApplyServerArguments(builder);
  server->memory_.Bound(builder);
  builder.AddListeningPort(options.listen.ToString(),
                           options.tls.has_value() ? MakeServerCredentials(*options.tls)
                                                   : grpc::InsecureServerCredentials(),
                           &server->port_);
  builder.RegisterService(&server->client_service_);
  builder.RegisterService(&server->admin_service_);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) {
    const absl::Status reason = TryBind(options.listen);
    if (!reason.ok()) return reason;
    return absl::InternalError(absl::StrCat("cannot listen on ", options.listen.ToString(),
                                            ": gRPC refused; try again with --log-level debug"));
  }
  return server;
}

GrpcServer::~GrpcServer() { Shutdown(kDestructionGraceMs); }

void GrpcServer::Shutdown(int64_t grace_ms) {
  if (server_ == nullptr) return;
  if (grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
      health != nullptr) {
    health->Shutdown();
  }
  server_->Shutdown(gpr_time_from_millis(grace_ms, GPR_TIMESPAN));
  server_->Wait();
}

}  // namespace fedwatt
