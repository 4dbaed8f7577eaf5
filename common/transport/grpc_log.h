#pragma once

namespace fedwatt {

// Sends gRPC's own log lines to our log at level debug: it calls every refused connection an error,
// and whoever made the call hears of it anyway. Call once in main, before gRPC is used.
void RouteGrpcLog();

}  // namespace fedwatt
