#include "common/transport/channel.h"

#include <grpcpp/create_channel.h>

#include "absl/synchronization/mutex.h"
#include "common/base/bounds.h"

namespace fedwatt {
namespace {

constexpr int kMessageBytes = static_cast<int>(bounds::kMaxMessageBytes);

// With bandwidth probing, gRPC lets every stream buffer several updates in memory before anybody
// reads them; a fixed window holds two chunks, which is full speed on links up to
// 2 MiB / round-trip time (170 Mbit/s at 100 ms).
constexpr int kStreamWindowBytes = 2 * static_cast<int>(bounds::kChunkBytes);

// What a stream may send to the server before anybody reads it. A thousand uploads that wait for
// the memory of the budget hold so much each; once one is read, gRPC opens the window by a chunk.
constexpr int kUnreadBytes = 32 * 1024;

constexpr int kFirstReconnectMs = 1'000;
constexpr int kMaxReconnectMs = 30'000;
// gRPC reads the minimum between attempts as the time that one attempt may take.
constexpr int kConnectTimeoutMs = 10'000;

// A device has a handful of calls open; a peer that opens many more waits, and harms nobody.
constexpr int kMaxStreamsPerConnection = 64;

// A peer that connects and says nothing holds a descriptor so long.
constexpr int kHandshakeTimeoutMs = 20'000;

// A distribution may build Abseil with its debug checks, as Debian does: then each lock that gRPC
// takes is looked up in a graph of lock orders. That costs a server of small calls some percent of
// its time, and the order is gRPC's own affair.
void StopLockOrderChecks() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

}  // namespace

grpc::ChannelArguments ClientChannelArguments() {
  StopLockOrderChecks();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytes);
  arguments.SetMaxSendMessageSize(kMessageBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  // A proxy from the environment would be dialled for loopback too.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

std::shared_ptr<grpc::Channel> OpenChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  return grpc::CreateCustomChannel(address, credentials, ClientChannelArguments());
}

void ApplyServerArguments(grpc::ServerBuilder& builder) {
  StopLockOrderChecks();
  builder.SetMaxReceiveMessageSize(kMessageBytes);
  builder.SetMaxSendMessageSize(kMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kUnreadBytes);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients ping every kKeepaliveMs; the default would call that abuse and hang up.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kKeepaliveMs / 2);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
}

}  // namespace fedwatt
