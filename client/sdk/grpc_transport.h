#pragma once

// The transport of real deployments: a session's calls over gRPC.
//
//   FW_ASSIGN_OR_RETURN(auto transport, MakeGrpcTransport(options, &clock, &executor));
//
// Errors say what a person can do: "cannot reach 10.0.0.7:7443 (connection refused): is
// fedwatt-coordinator running there?". Codes: UNAVAILABLE, the coordinator cannot be reached or
// went away (try again later); UNAUTHENTICATED, NOT_FOUND, PERMISSION_DENIED, our own certificate
// is unfit, found before connecting; everything else as the coordinator says, with its retry time
// (common/transport/retry_after.h).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/sdk/transport.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/model/fleet.h"
#include "common/transport/tls_credentials.h"

namespace fedwatt {

struct GrpcTransportOptions {
  std::string address;  // host:port; the host must be one of the coordinator certificate's names

  // Read before each connection, so that a renewed certificate is used without a restart. None:
  // insecure, for a coordinator on loopback, and the two fields below say who calls.
  std::optional<TlsFiles> tls;
  std::string subject;
  Role role = Role::kClient;

  // For the answer of a short call, and for a check-in's beyond its wait.
  int64_t call_timeout_ms = 30'000;
  // For one download or upload; what arrived is kept, and the next call goes on there.
  int64_t transfer_timeout_ms = 2 * 3600 * 1000;
};

// INVALID_ARGUMENT: a bad address. FAILED_PRECONDITION: insecure off loopback. Does not connect,
// nor read certificates: calls do, and their errors may pass.
//
// `executor` runs the callbacks of calls that fail before they start; it and `clock` outlive the
// transport. Destruction cancels and waits for all callbacks: not from inside of one.
absl::StatusOr<std::unique_ptr<ClientTransport>> MakeGrpcTransport(GrpcTransportOptions options,
                                                                   const Clock* clock,
                                                                   Executor* executor);

}  // namespace fedwatt
