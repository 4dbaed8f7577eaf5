#include "common/transport/tls_credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "common/base/file.h"
#include "tests/common/transport/test_pki.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

int64_t Now() { return SystemClock().NowMs(); }

std::string Refusal(const TlsFiles& files, absl::StatusCode code, int64_t now_ms = Now()) {
  const absl::Status status = LoadTlsIdentity(files, now_ms).status();
  EXPECT_EQ(status.code(), code) << status;
  return std::string(status.message());
}

TEST(TlsFiles, HaveFixedNamesInAFolder) {
  const TlsFiles files = TlsFiles::In("certs", "client-3");
  EXPECT_EQ(files.authority, "certs/ca.pem");
  EXPECT_EQ(files.certificate, "certs/client-3.pem");
  EXPECT_EQ(files.key, "certs/client-3.key");
}

TEST(LoadTlsIdentity, TellsWhoWeAre) {
  TestPki pki;
  const TlsIdentity identity = LoadTlsIdentity(pki.Issue("evaluator", "e-1"), Now()).value();
  EXPECT_EQ(identity.identity.role, "evaluator");
  EXPECT_EQ(identity.identity.id, "e-1");
}

TEST(LoadTlsIdentity, NamesAMissingFile) {
  TestPki pki;
  TlsFiles files = pki.Issue("client", "a");
  files.key = pki.File("missing.key");
  EXPECT_THAT(Refusal(files, absl::StatusCode::kNotFound), HasSubstr("missing.key"));
}

TEST(LoadTlsIdentity, SaysThatTheCertificateHasExpired) {
  TestPki pki;
  EXPECT_THAT(Refusal(pki.Issue("client", "old", 3), absl::StatusCode::kUnauthenticated),
              testing::AllOf(HasSubstr("old.pem"), HasSubstr("expired")));
}

TEST(LoadTlsIdentity, SuspectsAClockThatIsOff) {
  TestPki pki;
  const TlsFiles files = pki.Issue("client", "a");
  EXPECT_THAT(Refusal(files, absl::StatusCode::kUnauthenticated, Now() - 10 * kMsPerDay),
              HasSubstr("clock"));
}

TEST(LoadTlsIdentity, SaysThatTheAuthorityIsAnother) {
  TestPki ours;
  TestPki theirs;
  TlsFiles files = theirs.Issue("client", "a");
  files.authority = ours.File("ca.pem");
  EXPECT_THAT(Refusal(files, absl::StatusCode::kUnauthenticated),
              HasSubstr("not signed by the authority"));
}

TEST(LoadTlsIdentity, SaysThatTheKeyIsAnothers) {
  TestPki pki;
  TlsFiles files = pki.Issue("client", "a");
  files.key = pki.Issue("client", "b").key;
  EXPECT_THAT(Refusal(files, absl::StatusCode::kUnauthenticated),
              testing::AllOf(HasSubstr("b.key"), HasSubstr("does not belong")));
}

TEST(LoadTlsIdentity, RefusesAKeyThatOthersMayRead) {
  TestPki pki;
  const TlsFiles files = pki.Issue("client", "a");
  ASSERT_EQ(chmod(files.key.c_str(), 0644), 0);
  EXPECT_THAT(Refusal(files, absl::StatusCode::kPermissionDenied),
              HasSubstr("chmod 600 " + files.key));
}

TEST(LoadTlsIdentity, RefusesWhatIsNoCertificate) {
  TestPki pki;
  const TlsFiles files = pki.Issue("client", "a");
  ASSERT_TRUE(WriteFileAtomic(files.certificate, "not a certificate").ok());
  EXPECT_THAT(Refusal(files, absl::StatusCode::kInvalidArgument), HasSubstr("a.pem"));
}

}  // namespace
}  // namespace fedwatt
