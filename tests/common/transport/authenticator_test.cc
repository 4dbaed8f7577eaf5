#include "common/transport/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/crypto/x509.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

class CertificateAuthenticatorTest : public testing::Test {
 protected:
  CertificateAuthenticatorTest()
      : authority_(CreateAuthority("test", clock_.NowMs(), 365).value()),
        authenticator_(
            CertificateAuthenticator::Create(&clock_, dir_.File("revoked.txt")).value()) {}

  PeerInfo Peer(const std::string& role, const std::string& id) {
    CertificateRequest request;
    request.role = role;
    request.id = id;
    PeerInfo peer;
    peer.certificate_pem =
        IssueCertificate(authority_, request, clock_.NowMs()).value().certificate_pem;
    return peer;
  }
  std::string Refusal(const PeerInfo& peer) {
    const absl::Status status = authenticator_->Authenticate(peer).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
    return std::string(status.message());
  }
  void Revoke(const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(dir_.File("revoked.txt"), text).ok());
  }

  TempDir dir_;
  FakeClock clock_;
  CertifiedKey authority_;
  std::unique_ptr<CertificateAuthenticator> authenticator_;
};

TEST_F(CertificateAuthenticatorTest, ReadsIdentityAndRoleFromTheCertificate) {
  const std::vector<std::pair<std::string, Role>> roles = {{"client", Role::kClient},
                                                           {"evaluator", Role::kEvaluator},
                                                           {"operator", Role::kOperator},
                                                           {"coordinator", Role::kCoordinator}};
  for (const auto& [name, role] : roles) {
    const Principal who = authenticator_->Authenticate(Peer(name, "x-1")).value();
    EXPECT_EQ(who.role, role);
    EXPECT_EQ(who.subject, "x-1");
    EXPECT_EQ(who.tenant, "default");
    EXPECT_EQ(who.method, "mtls");
  }
}

TEST_F(CertificateAuthenticatorTest, IgnoresWhatThePeerClaims) {
  PeerInfo peer = Peer("client", "phone-7");
  peer.claimed_subject = "alice";
  peer.claimed_role = "operator";
  const Principal who = authenticator_->Authenticate(peer).value();
  EXPECT_EQ(who.subject, "phone-7");
  EXPECT_EQ(who.role, Role::kClient);
}

TEST_F(CertificateAuthenticatorTest, NeedsACertificate) {
  PeerInfo peer;
  peer.claimed_subject = "phone-7";
  EXPECT_THAT(Refusal(peer), HasSubstr("no client certificate"));
  peer.certificate_pem = "garbage";
  EXPECT_THAT(Refusal(peer), HasSubstr("PEM"));
}

TEST_F(CertificateAuthenticatorTest, NeedsOneIdentity) {
  PeerInfo peer;
  peer.certificate_pem = authority_.certificate_pem;
  EXPECT_THAT(Refusal(peer), HasSubstr("no identity"));
}

TEST_F(CertificateAuthenticatorTest, ChecksTheDatesAtEveryCall) {
  const PeerInfo peer = Peer("client", "phone-7");
  ASSERT_TRUE(authenticator_->Authenticate(peer).ok());
  clock_.AdvanceMs(91 * kMsPerDay);
  EXPECT_THAT(Refusal(peer), HasSubstr("'phone-7' expired at"));
  clock_.SetMs(FakeClock::kDefaultStartMs - kMsPerDay);
  EXPECT_THAT(Refusal(peer), HasSubstr("clocks is off"));
}

TEST_F(CertificateAuthenticatorTest, ReadsTheRevocationListWheneverItChanges) {
  const PeerInfo seven = Peer("client", "phone-7");
  const PeerInfo eight = Peer("client", "phone-8");
  ASSERT_TRUE(authenticator_->Authenticate(seven).ok());
  Revoke("identity fedwatt://client/phone-7\n");
  EXPECT_THAT(Refusal(seven), HasSubstr("certificate of 'phone-7' was revoked"));
  EXPECT_TRUE(authenticator_->Authenticate(eight).ok());
  Revoke("fingerprint " + ParseCertificate(eight.certificate_pem)->fingerprint + "\n");
  EXPECT_TRUE(authenticator_->Authenticate(seven).ok());
  EXPECT_THAT(Refusal(eight), HasSubstr("ask the operator for a new one"));
}

TEST_F(CertificateAuthenticatorTest, KeepsTheLastGoodListAndWarnsOnce) {
  const PeerInfo peer = Peer("client", "phone-7");
  Revoke("identity fedwatt://client/phone-7\n");
  EXPECT_THAT(Refusal(peer), HasSubstr("revoked"));
  std::vector<std::string> lines;
  SetLogSinkForTest([&](const std::string& line) { lines.push_back(line); });
  Revoke("half a li");
  EXPECT_THAT(Refusal(peer), HasSubstr("revoked"));
  EXPECT_THAT(Refusal(peer), HasSubstr("revoked"));
  SetLogSinkForTest(nullptr);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], HasSubstr("line 1"));
}

TEST_F(CertificateAuthenticatorTest, IsNotMadeWithABrokenList) {
  Revoke("nonsense\n");
  const absl::Status status =
      CertificateAuthenticator::Create(&clock_, dir_.File("revoked.txt")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 1"));
}

TEST(InsecureAuthenticator, BelievesTheMetadata) {
  InsecureAuthenticator authenticator;
  PeerInfo peer;
  peer.claimed_subject = "phone-1";
  EXPECT_EQ(authenticator.Authenticate(peer)->role, Role::kClient);
  peer.claimed_role = "operator";
  EXPECT_EQ(authenticator.Authenticate(peer)->role, Role::kOperator);
  EXPECT_EQ(authenticator.Authenticate(peer)->method, "insecure");
}

TEST(InsecureAuthenticator, RefusesWhatIsNoNameOrRole) {
  InsecureAuthenticator authenticator;
  PeerInfo peer;
  EXPECT_EQ(authenticator.Authenticate(peer).status().code(), absl::StatusCode::kUnauthenticated);
  peer.claimed_subject = "a b\n";
  EXPECT_FALSE(authenticator.Authenticate(peer).ok());
  peer.claimed_subject = "phone-1";
  peer.claimed_role = "king";
  EXPECT_FALSE(authenticator.Authenticate(peer).ok());
}

TEST(Roles, AreNamedInRefusals) {
  Principal who;
  who.subject = "phone-7";
  EXPECT_TRUE(RequireDevice(who, "checking in").ok());
  const absl::Status refused = RequireOperator(who, "stopping a job");
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(refused.message(),
            "stopping a job needs the role operator; 'phone-7' has the role client: use an "
            "operator certificate");
  who.role = Role::kOperator;
  EXPECT_TRUE(RequireOperator(who, "stopping a job").ok());
  EXPECT_FALSE(RequireDevice(who, "checking in").ok());
}

}  // namespace
}  // namespace fedwatt
