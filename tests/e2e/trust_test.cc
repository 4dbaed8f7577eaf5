// Who may do what, and what somebody who may not is told.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/crypto/sha256.h"
#include "grpcpp/client_context.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kRefused = 4;

class Trust : public testing::Test {
 protected:
  int64_t now_ms_ = SystemClock().NowMs();
  Deployment fleet_{2};

  CertifiedKey IssueAt(const std::string& role, const std::string& id, int64_t now_ms,
                       int64_t days) {
    CertificateRequest request{.role = role, .id = id, .valid_days = days};
    if (role == "coordinator") request.ip_addresses = {"127.0.0.1"};
    return IssueCertificate(fleet_.Authority(), request, now_ms).value();
  }

  // A client that must end by itself.
  Output RunClient(const std::string& id, const ClientOptions& options = {}) {
    return RunToEnd({.argv = fleet_.ClientCommand(id, options), .timeout_ms = 20'000},
                    fleet_.scratch());
  }
};

TEST_F(Trust, ABundleOfAnOwnerThatClientsDoNotTrustIsNotRun) {
  fleet_.WriteBundle();
  ASSERT_EQ(fleet_.Cli({"certs", "keys", "--dir", fleet_.certs(), "--name", "stranger"}).code, 0);
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.StartClients(0, 2, {.trusted_key = "stranger"});
  const std::string job = fleet_.Submit({.rounds = 1, .goal = 2, .set = {"round.max_attempts=1"}});
  ASSERT_TRUE(fleet_.WaitForEnd(job));
  EXPECT_EQ(fleet_.Job(job).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(fleet_.Job(job).reason(), HasSubstr("which is not trusted here"));
  for (const std::string id : {"client-0", "client-1"}) {
    // The second one's failure may come after the job's.
    ASSERT_TRUE(WaitUntil("the refusal", [&] { return !fleet_.Events(id, "failed").empty(); }));
    EXPECT_THAT(fleet_.Events(id, "failed")[0].value("what", ""),
                HasSubstr("which is not trusted here"));
    EXPECT_THAT(fleet_.Events(id, "training"), IsEmpty());
  }
}

TEST_F(Trust, AnAlteredBundleIsRefusedWhenItIsSubmitted) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  std::string bytes = ReadFile(fleet_.File("model.fwb"), 1 << 20).value();
  const size_t at = bytes.find("nothing to run");
  ASSERT_NE(at, std::string::npos);
  bytes[at] = 'N';
  ASSERT_TRUE(WriteFileAtomic(fleet_.File("model.fwb"), bytes).ok());
  const Output run = fleet_.Cli({"run", fleet_.WriteJobFile({})});
  EXPECT_EQ(run.code, 6) << run.ToString();
  EXPECT_THAT(run.err, AllOf(HasSubstr("model.fwb"), HasSubstr("altered")));

  // Nor does the coordinator rely on the command line's check.
  grpc::ClientContext context;
  v1::UploadBundleResponse response;
  const auto stream = fleet_.admin().UploadBundle(&context, &response);
  v1::UploadBundleRequest part;
  const Digest digest = Sha256Of(AsBytes(bytes));
  part.set_total(bytes.size());
  part.set_sha256(digest.data(), digest.size());
  part.set_data(bytes);
  stream->Write(part);
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.error_message(), HasSubstr("altered"));
}

TEST_F(Trust, AnUnsignedBundleNeedsAKey) {
  fleet_.WriteBundle({.key = ""});
  ASSERT_TRUE(fleet_.StartCoordinator());
  const std::string file = fleet_.WriteJobFile({.rounds = 1, .goal = 1});
  const Output refused = fleet_.Cli({"run", file});
  EXPECT_EQ(refused.code, 2) << refused.ToString();
  EXPECT_THAT(refused.err, AllOf(HasSubstr("not signed"), HasSubstr("--key")));
  fleet_.StartClient("client-0");
  const Output run = fleet_.Cli({"run", file, "--key", fleet_.certs() + "/owner.key"});
  EXPECT_EQ(run.code, 0) << run.ToString();
}

TEST_F(Trust, AClientIsNoOperator) {
  ASSERT_TRUE(fleet_.StartCoordinator());
  const Output list = fleet_.Cli({"list", "--as", "client-0"});
  EXPECT_EQ(list.code, kRefused) << list.ToString();
  EXPECT_THAT(list.err, AllOf(HasSubstr("operator"), HasSubstr("client-0")));
  const Output json = fleet_.Cli({"stop", "nothing", "--as", "client-0", "--json"});
  EXPECT_EQ(json.code, kRefused);
  EXPECT_EQ(json.Json()["exit_code"], kRefused);
}

TEST_F(Trust, AnOperatorIsNoClient) {
  ASSERT_TRUE(fleet_.StartCoordinator());
  const Output client = RunClient("client-0", {.certificate = "operator"});
  EXPECT_EQ(client.code, kRefused) << client.ToString();
  EXPECT_THAT(client.err, HasSubstr("operator"));
}

TEST_F(Trust, ARevokedClientIsShutOutAtOnce) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.StartClients(0, 2);
  const std::string job = fleet_.Submit({.rounds = 100'000, .goal = 2});
  ASSERT_TRUE(
      fleet_.WaitForJob(job, "a round", [](const v1::Job& j) { return j.rounds_done() >= 1; }));
  const Output revoke = fleet_.Cli({"certs", "revoke", "client-1", "--dir", fleet_.certs()});
  ASSERT_EQ(revoke.code, 0) << revoke.ToString();
  ASSERT_TRUE(
      WaitUntil("the refusal", [&] { return !fleet_.Events("client-1", "denied").empty(); }));
  EXPECT_THAT(fleet_.Events("client-1", "denied")[0].value("what", ""), HasSubstr("revoked"));
  const auto still = [&] { return fleet_.Job(job); };
  const uint64_t rounds = still().rounds_done();
  // The other one goes on: alone it cannot reach this goal, yet it serves a smaller one.
  ASSERT_EQ(fleet_.Cli({"stop", job}).code, 0);
  const std::string alone = fleet_.Submit({.name = "alone", .rounds = 1, .goal = 1});
  ASSERT_TRUE(fleet_.WaitForEnd(alone));
  EXPECT_EQ(fleet_.Job(alone).state(), v1::JOB_STATE_COMPLETED);
  EXPECT_LE(still().rounds_done(), rounds + 1);
  EXPECT_TRUE(fleet_.Events("client-0", "denied").empty());
}

TEST_F(Trust, AnExpiredCertificateIsSaidBeforeConnecting) {
  fleet_.AgeAuthority(30);
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.InstallCertificate("client-0",
                            IssueAt("client", "client-0", now_ms_ - 20 * kMsPerDay, 10));
  for (const ClientOptions& options : {ClientOptions{}, ClientOptions{.extra = {"--check"}}}) {
    const Output client = RunClient("client-0", options);
    EXPECT_EQ(client.code, kRefused) << client.ToString();
    EXPECT_THAT(client.out + client.err, AllOf(HasSubstr("expired"), HasSubstr("client-0.pem")));
  }
}

TEST_F(Trust, ACertificateFromTheFutureHintsAtTheClock) {
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.InstallCertificate("client-0", IssueAt("client", "client-0", now_ms_ + 2 * kMsPerDay, 10));
  const Output client = RunClient("client-0");
  EXPECT_EQ(client.code, kRefused) << client.ToString();
  EXPECT_THAT(client.err, HasSubstr("clock"));
}

TEST_F(Trust, AClientOfAnotherAuthorityIsRefusedAndDoesNotTrustUs) {
  ASSERT_TRUE(fleet_.StartCoordinator());
  const std::string other = fleet_.File("other");
  ASSERT_EQ(fleet_.Cli({"certs", "init", "--dir", other}).code, 0);
  ASSERT_EQ(fleet_.Cli({"certs", "issue", "--dir", other, "--id", "client-0"}).code, 0);
  fleet_.UseCertificates("other");
  const Output client = RunClient("client-0", {.extra = {"--exit-when-idle-s", "4"}});
  EXPECT_THAT(client.code, AnyOf(3, kRefused)) << client.ToString();
  EXPECT_THAT(client.err, HasSubstr("authority"));
  const Output list = fleet_.Cli({"list"});
  EXPECT_THAT(list.code, AnyOf(3, kRefused)) << list.ToString();
  fleet_.UseCertificates("certs");
  EXPECT_EQ(fleet_.Cli({"list"}).code, 0);
}

TEST_F(Trust, ACoordinatorRefusesToStartWithACertificateThatIsNotValidYet) {
  fleet_.InstallCertificate("coordinator",
                            IssueAt("coordinator", "coordinator", now_ms_ + 2 * kMsPerDay, 10));
  const Output start =
      RunToEnd({.argv = fleet_.CoordinatorCommand("127.0.0.1:0")}, fleet_.scratch());
  EXPECT_GT(start.code, 0) << start.ToString();
  EXPECT_THAT(start.err, AllOf(HasSubstr("coordinator.pem"), HasSubstr("clock")));
}

TEST_F(Trust, ACoordinatorsCertificateThatRunsOutIsNamedByItsClients) {
  ASSERT_TRUE(fleet_.StartCoordinator());
  // Exchanged while it runs, as a renewal would be, for one that is not valid yet.
  fleet_.InstallCertificate("coordinator",
                            IssueAt("coordinator", "coordinator", now_ms_ + 2 * kMsPerDay, 10));
  Output list;
  ASSERT_TRUE(WaitUntil("the coordinator to read its new certificate", [&] {
    list = fleet_.Cli({"list"});
    return list.code != 0;
  }));
  EXPECT_EQ(list.code, 3) << list.ToString();
  const Output client = RunClient("client-0", {.extra = {"--exit-when-idle-s", "4"}});
  EXPECT_THAT(client.code, AnyOf(3, kRefused)) << client.ToString();
  EXPECT_THAT(client.err, AllOf(HasSubstr("certificate"), HasSubstr("clock")));
}

}  // namespace
}  // namespace fedwatt::e2e
