#pragma once

// What a connection says of its peer, for an Authenticator.

#include <grpcpp/server_context.h>

#include "common/transport/authenticator.h"

namespace fedwatt {

// Thread-safe. Valid while the call runs.
PeerInfo PeerInfoOf(const grpc::ServerContextBase& context);

}  // namespace fedwatt
