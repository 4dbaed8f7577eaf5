#pragma once

// gRPC's settings for this protocol, in one place for both sides.

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstdint>
#include <memory>
#include <string>

namespace fedwatt {

// A ping after so long without traffic keeps NAT entries alive (the shortest in the field forget a
// TCP flow after 30 to 60 s) and finds dead peers.
inline constexpr int kKeepaliveMs = 20'000;
inline constexpr int kKeepaliveTimeoutMs = 10'000;

// Each channel has a connection of its own.
grpc::ChannelArguments ClientChannelArguments();

// `address` is "host:port"; `credentials` from MakeChannelCredentials, or
// InsecureChannelCredentials for a loopback coordinator. Does not connect yet.
std::shared_ptr<grpc::Channel> OpenChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// A second server on the same port is refused instead of getting half of the connections.
void ApplyServerArguments(grpc::ServerBuilder& builder);

}  // namespace fedwatt
