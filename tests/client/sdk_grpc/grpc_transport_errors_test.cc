#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "tests/client/sdk_grpc/waiting_transport.h"
#include "tests/common/transport/test_pki.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

// What a person reads when it does not work.

std::string Message(const absl::Status& status) { return std::string(status.message()); }

// A port that refuses connections: bound, never listened on.
class DeadPort {
 public:
  DeadPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~DeadPort() { close(fd_); }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  const int fd_;
  uint16_t port_ = 0;
};

TEST(GrpcTransportErrors, NobodyListens) {
  DeadPort port;
  WaitingTransport transport({.address = port.address(), .tls = std::nullopt, .subject = "a"});
  const absl::Status status = transport.CheckIn().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Message(status),
            absl::StrCat("cannot reach ", port.address(),
                         " (connection refused): is fedwatt-coordinator running there?"));
}

TEST(GrpcTransportErrors, NoSuchHost) {
  TestPki pki;
  WaitingTransport transport(
      {.address = "no-such-host.invalid:7443", .tls = pki.Issue("client", "a")});
  const absl::Status status = transport.CheckIn().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("cannot reach no-such-host.invalid:7443 (no such host)"));
}

TEST(GrpcTransportErrors, ACoordinatorOfAnotherAuthority) {
  TestPki ours;
  TestPki theirs;
  TestServer server({.tls = theirs.Issue("coordinator", "coordinator")});
  WaitingTransport transport({.address = server.address(), .tls = ours.Issue("client", "a")});
  const absl::Status status = transport.CheckIn().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("cannot make a TLS connection to " + server.address()));
}

TEST(GrpcTransportErrors, AnImpostorWithAClientsCertificate) {
  TestPki pki;
  // A client's certificate names no host at all, and is no server's.
  TestServer server({.tls = pki.Issue("client", "impostor")});
  WaitingTransport transport({.address = server.address(), .tls = pki.Issue("client", "a")});
  const absl::Status status = transport.CheckIn().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("cannot make a TLS connection to"));
}

TEST(GrpcTransportErrors, TlsToAPlainCoordinator) {
  TestPki pki;
  TestServer server;
  WaitingTransport transport({.address = server.address(), .tls = pki.Issue("client", "a")});
  const absl::Status status = transport.CheckIn().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("does not speak TLS"));
}

TEST(GrpcTransportErrors, PlainToATlsCoordinator) {
  TestPki pki;
  TestServer server({.tls = pki.Issue("coordinator", "coordinator")});
  WaitingTransport transport({.address = server.address(), .tls = std::nullopt, .subject = "a"});
  const absl::Status status = transport.CheckIn().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("it may expect TLS"));
}

TEST(GrpcTransportErrors, OurCertificateHasExpired) {
  TestPki pki;
  DeadPort port;
  WaitingTransport transport({.address = port.address(), .tls = pki.Issue("client", "old", 3)});
  const absl::Status status = transport.CheckIn().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(status), HasSubstr("expired"));
  EXPECT_THAT(Message(status), HasSubstr("old.pem"));
}

TEST(GrpcTransportErrors, ARenewedCertificateIsUsedWithoutARestart) {
  TestPki pki;
  TestServer server({.tls = pki.Issue("coordinator", "coordinator")});
  CheckInResponse response;
  response.rejection = Rejection{"no work", 1};
  server.coordinator().AnswerCheckIns(response);
  WaitingTransport transport({.address = server.address(), .tls = pki.Issue("client", "old", 3)});
  EXPECT_EQ(transport.CheckIn().status().code(), absl::StatusCode::kUnauthenticated);
  pki.Issue("client", "old");
  const absl::StatusOr<CheckInResponse> answer = transport.CheckIn();
  EXPECT_TRUE(answer.ok()) << answer.status();
}

TEST(GrpcTransportErrors, TheCoordinatorDoesNotAnswer) {
  TestServer server;
  WaitingTransport transport(
      {.address = server.address(), .tls = std::nullopt, .subject = "a", .call_timeout_ms = 100});
  const absl::Status status = transport.CheckIn(50).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(Message(status), HasSubstr("no answer from " + server.address()));
}

TEST(GrpcTransportErrors, InsecureIsForThisMachine) {
  const SystemClock clock;
  ThreadPool executor(1);
  const auto make = [&](const std::string& address) {
    return MakeGrpcTransport({.address = address, .tls = std::nullopt}, &clock, &executor).status();
  };
  EXPECT_EQ(make("10.0.0.7:7443").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(make("localhost").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(make("localhost:0").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(make("localhost:7443").ok());
}

}  // namespace
}  // namespace fedwatt
