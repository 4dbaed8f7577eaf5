#pragma once

// absl::Status and grpc::Status: the same codes and messages on both sides of the wire.

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace fedwatt {

// Messages are cut to what trailing metadata carries safely (2 KiB).
grpc::Status ToGrpcStatus(const absl::Status& status);

// Also sends the status' retry_after to the peer. Call before the call is finished.
grpc::Status ToGrpcStatus(const absl::Status& status, grpc::ServerContextBase* context);

absl::Status FromGrpcStatus(const grpc::Status& status);

// Also takes the peer's retry_after. Call once the call has ended.
absl::Status FromGrpcStatus(const grpc::Status& status, const grpc::ClientContext& context);

}  // namespace fedwatt
