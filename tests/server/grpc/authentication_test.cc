#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/fake_clock.h"
#include "fedwatt/v1/admin_service.grpc.pb.h"
#include "tests/common/transport/test_pki.h"
#include "tests/server/grpc/calls.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

grpc::Status CheckInOver(const std::shared_ptr<grpc::Channel>& channel,
                         const std::string& claimed = "phone-1",
                         const std::string& claimed_role = "client") {
  const auto stub = v1::ClientService::NewStub(channel);
  v1::CheckInResponse response;
  return stub->CheckIn(NewContext(claimed, claimed_role).get(), CheckInMessage(), &response);
}

grpc::Status ListJobsOver(const std::shared_ptr<grpc::Channel>& channel,
                          const std::string& claimed_role = "client") {
  const auto stub = v1::AdminService::NewStub(channel);
  v1::ListJobsResponse response;
  return stub->ListJobs(NewContext("phone-1", claimed_role).get(), {}, &response);
}

class MutualTls : public testing::Test {
 protected:
  MutualTls()
      : server_({.tls = pki_.Issue("coordinator", "coordinator"),
                 .revocations = pki_.File("revoked.txt")}) {
    CheckInResponse response;
    response.rejection = Rejection{"no work", 1};
    server_.coordinator().AnswerCheckIns(response);
  }

  TestPki pki_;
  TestServer server_;
};

TEST_F(MutualTls, TheCertificateSaysWhoCalls) {
  const TlsFiles files = pki_.Issue("client", "phone-7");
  const grpc::Status status = CheckInOver(server_.TlsChannel(files));
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(server_.coordinator().callers().size(), 1U);
  const Principal who = server_.coordinator().callers()[0];
  EXPECT_EQ(who.subject, "phone-7");
  EXPECT_EQ(who.role, Role::kClient);
  EXPECT_EQ(who.method, "mtls");
  EXPECT_EQ(who.assurance.size(), 64U);
}

TEST_F(MutualTls, MetadataIsNotBelieved) {
  const TlsFiles files = pki_.Issue("client", "phone-7");
  ASSERT_TRUE(CheckInOver(server_.TlsChannel(files), "somebody-else", "operator").ok());
  EXPECT_EQ(server_.coordinator().callers().at(0).subject, "phone-7");
  EXPECT_EQ(ListJobsOver(server_.TlsChannel(files), "operator").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(MutualTls, WithoutACertificateThereIsNoConnection) {
  const grpc::Status status = CheckInOver(server_.TlsChannel({}, pki_.File("ca.pem")));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_TRUE(server_.coordinator().callers().empty());
}

TEST_F(MutualTls, AnotherAuthoritysCertificateIsRefused) {
  TestPki stranger;
  const grpc::Status status =
      CheckInOver(server_.TlsChannel(stranger.Issue("client", "phone-7"), pki_.File("ca.pem")));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_TRUE(server_.coordinator().callers().empty());
}

TEST_F(MutualTls, AnExpiredCertificateIsRefused) {
  const grpc::Status status = CheckInOver(server_.TlsChannel(pki_.Issue("client", "old", 3)));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_TRUE(server_.coordinator().callers().empty());
}

TEST_F(MutualTls, ARevokedIdentityHearsWhyAlsoOnAnOpenConnection) {
  const auto channel = server_.TlsChannel(pki_.Issue("client", "phone-7"));
  ASSERT_TRUE(CheckInOver(channel).ok());

  RevocationList list;
  ASSERT_TRUE(list.Add("fedwatt://client/phone-7").ok());
  ASSERT_TRUE(list.Save(pki_.File("revoked.txt")).ok());
  const grpc::Status status = CheckInOver(channel);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("certificate of 'phone-7' was revoked"));
  EXPECT_THAT(status.error_message(), HasSubstr("ask the operator for a new one"));

  EXPECT_TRUE(CheckInOver(server_.TlsChannel(pki_.Issue("client", "phone-8"))).ok());
}

TEST_F(MutualTls, AClientCertificateOpensNoAdminCall) {
  const grpc::Status status = ListJobsOver(server_.TlsChannel(pki_.Issue("client", "phone-7")));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("needs the role operator"));
  EXPECT_THAT(status.error_message(), HasSubstr("'phone-7' has the role client"));
  EXPECT_THAT(status.error_message(), HasSubstr("operator certificate"));
}

TEST_F(MutualTls, AnOperatorMayAdministerButNotTrain) {
  const auto channel = server_.TlsChannel(pki_.Issue("operator", "alice"));
  EXPECT_TRUE(ListJobsOver(channel).ok());
  const grpc::Status status = CheckInOver(channel);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("role client or evaluator"));
}

TEST(MutualTlsOverTime, ACertificateThatExpiresOnAnOpenConnectionIsRefused) {
  TestPki pki;
  FakeClock clock(SystemClock().NowMs());
  TestServer server({.tls = pki.Issue("coordinator", "coordinator"), .clock = &clock});
  CheckInResponse response;
  response.rejection = Rejection{"no work", 1};
  server.coordinator().AnswerCheckIns(response);
  const auto channel = server.TlsChannel(pki.Issue("client", "phone-7"));
  ASSERT_TRUE(CheckInOver(channel).ok());

  clock.AdvanceMs(2 * kMsPerDay);
  const grpc::Status status = CheckInOver(channel);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("certificate of 'phone-7' expired"));
}

TEST(InsecureMode, ListensOnLoopbackOnly) {
  const absl::StatusOr<std::unique_ptr<GrpcServer>> server =
      GrpcServer::Start({.listen = {"0.0.0.0", 0}, .tls = std::nullopt}, CallDeps());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("loopback"));
}

TEST(InsecureMode, NeedsAName) {
  TestServer server;
  const grpc::Status status = CheckInOver(server.InsecureChannel(), "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("fedwatt-subject"));
}

}  // namespace
}  // namespace fedwatt
