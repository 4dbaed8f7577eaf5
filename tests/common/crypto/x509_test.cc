#include "common/crypto/x509.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>

#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/base/subprocess.h"
#include "common/crypto/ed25519.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kNow = FakeClock::kDefaultStartMs;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class X509Test : public testing::Test {
 protected:
  CertificateRequest Client(const std::string& id) const {
    CertificateRequest request;
    request.role = "client";
    request.id = id;
    request.valid_days = 30;
    return request;
  }

  CertifiedKey Issue(const CertificateRequest& request, int64_t now_ms = kNow) const {
    auto issued = IssueCertificate(authority_, request, now_ms);
    EXPECT_TRUE(issued.ok()) << issued.status();
    return issued.ok() ? *issued : CertifiedKey{};
  }

  CertifiedKey authority_ = *CreateAuthority("fedwatt development CA", kNow, 365);
};

TEST_F(X509Test, AClientCertificateSaysWhoItIs) {
  const CertifiedKey issued = Issue(Client("phone-7"));
  const auto info = ParseCertificate(issued.certificate_pem);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->subject, "CN=phone-7,O=fedwatt");
  EXPECT_EQ(info->issuer, "CN=fedwatt development CA,O=fedwatt");
  EXPECT_THAT(info->san_uris, ElementsAre("fedwatt://client/phone-7"));
  EXPECT_EQ(info->not_before_ms, kNow - kBackdateMs);
  EXPECT_EQ(info->not_after_ms, kNow + 30 * kMsPerDay);
  EXPECT_EQ(info->serial.size(), 32U);
  EXPECT_EQ(info->fingerprint.size(), 64U);
  EXPECT_FALSE(info->is_ca);
  EXPECT_EQ(*CertificateIdentity(*info), (Identity{"client", "phone-7"}));
}

TEST_F(X509Test, AServerCertificateNamesItsHosts) {
  CertificateRequest request = Client("eu-1");
  request.role = "coordinator";
  request.dns_names = {"localhost", "fl.example.org"};
  request.ip_addresses = {"127.0.0.1", "::1"};
  const auto info = ParseCertificate(Issue(request).certificate_pem);
  ASSERT_TRUE(info.ok());
  EXPECT_THAT(info->san_dns, ElementsAre("localhost", "fl.example.org"));
  EXPECT_THAT(info->san_ips, ElementsAre("127.0.0.1", "0000:0000:0000:0000:0000:0000:0000:0001"));
  EXPECT_THAT(info->san_uris, ElementsAre("fedwatt://coordinator/eu-1"));
}

TEST_F(X509Test, TheAuthorityIsOneAndIssuedCertificatesAreNot) {
  EXPECT_TRUE(ParseCertificate(authority_.certificate_pem)->is_ca);
  const CertifiedKey leaf = Issue(Client("c"));
  const auto forged = IssueCertificate(leaf, Client("evil"), kNow);
  ASSERT_TRUE(forged.ok());
  const absl::Status status = CheckCertificate(forged->certificate_pem, leaf.certificate_pem, kNow);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("is not a certificate authority"));
}

TEST_F(X509Test, SerialsAndKeysAreFresh) {
  std::set<std::string> serials;
  std::set<std::string> keys;
  for (int i = 0; i < 5; ++i) {
    const CertifiedKey issued = Issue(Client("same"));
    serials.insert(ParseCertificate(issued.certificate_pem)->serial);
    keys.insert(issued.key_pem);
  }
  EXPECT_EQ(serials.size(), 5U);
  EXPECT_EQ(keys.size(), 5U);
}

TEST_F(X509Test, ACertificateNeverOutlivesItsAuthority) {
  CertificateRequest request = Client("c");
  request.valid_days = 9'999;
  EXPECT_EQ(ParseCertificate(Issue(request).certificate_pem)->not_after_ms,
            ParseCertificate(authority_.certificate_pem)->not_after_ms);
}

TEST_F(X509Test, AGoodCertificatePasses) {
  const CertifiedKey issued = Issue(Client("c"));
  EXPECT_TRUE(CheckCertificate(issued.certificate_pem, authority_.certificate_pem, kNow).ok());
  EXPECT_TRUE(CheckKeyMatches(issued.certificate_pem, issued.key_pem).ok());
}

TEST_F(X509Test, ADeviceWhoseClockLagsAFewMinutesCanConnectAtOnce) {
  const CertifiedKey issued = Issue(Client("c"));
  EXPECT_TRUE(
      CheckCertificate(issued.certificate_pem, authority_.certificate_pem, kNow - 240'000).ok());
}

TEST_F(X509Test, AnExpiredCertificateSaysSinceWhenAndWhatToDo) {
  const CertifiedKey issued = Issue(Client("c"));
  const absl::Status status =
      CheckCertificate(issued.certificate_pem, authority_.certificate_pem, kNow + 33 * kMsPerDay);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(status), HasSubstr("expired at 2026-01-31T00:00:00Z, 3 d 00 h ago"));
  EXPECT_THAT(Message(status), HasSubstr("fedwatt certs issue"));
}

TEST_F(X509Test, ACertificateFromTheFutureBlamesTheClock) {
  const CertifiedKey issued = Issue(Client("c"), kNow + 2 * kMsPerDay);
  const absl::Status status =
      CheckCertificate(issued.certificate_pem, authority_.certificate_pem, kNow);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(status), HasSubstr("this machine's clock says 2026-01-01T00:00:00Z"));
  EXPECT_THAT(Message(status), HasSubstr("the clock is probably off"));
}

TEST_F(X509Test, AnotherAuthorityOfTheSameNameIsRecognised) {
  const CertifiedKey other = *CreateAuthority("fedwatt development CA", kNow, 365);
  const CertifiedKey issued = Issue(Client("c"));
  const absl::Status status = CheckCertificate(issued.certificate_pem, other.certificate_pem, kNow);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(status), HasSubstr("was not signed by the authority at hand"));
  EXPECT_THAT(Message(status),
              HasSubstr(ParseCertificate(other.certificate_pem)->fingerprint.substr(0, 16)));
}

TEST_F(X509Test, AnExpiredAuthorityIsBlamedItself) {
  const CertifiedKey authority = *CreateAuthority("short", kNow, 1);
  const CertifiedKey issued = *IssueCertificate(authority, Client("c"), kNow);
  const absl::Status status =
      CheckCertificate(issued.certificate_pem, authority.certificate_pem, kNow + 2 * kMsPerDay);
  EXPECT_THAT(Message(status), HasSubstr("the authority's certificate (CN=short,O=fedwatt) exp"));
  EXPECT_FALSE(IssueCertificate(authority, Client("c"), kNow + 2 * kMsPerDay).ok());
}

TEST_F(X509Test, AKeyOfAnotherCertificateIsNoticed) {
  const absl::Status status =
      CheckKeyMatches(Issue(Client("a")).certificate_pem, Issue(Client("b")).key_pem);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(status), HasSubstr("does not belong to the certificate (CN=a,O=fedwatt)"));
}

TEST_F(X509Test, AnAlteredCertificateIsRefused) {
  std::string pem = Issue(Client("c")).certificate_pem;
  const size_t middle = pem.size() - 80;  // inside the signature
  pem[middle] = pem[middle] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(CheckCertificate(pem, authority_.certificate_pem, kNow).ok());
}

TEST_F(X509Test, BadRequestsAreRefused) {
  for (const std::string& id :
       {std::string(), std::string("a/b"), std::string("a b"),
        std::string("x,URI:fedwatt://operator/root"), std::string(129, 'a')}) {
    EXPECT_EQ(IssueCertificate(authority_, Client(id), kNow).status().code(),
              absl::StatusCode::kInvalidArgument)
        << id;
  }
  CertificateRequest request = Client("c");
  request.role = "operater";
  EXPECT_THAT(Message(IssueCertificate(authority_, request, kNow).status()),
              HasSubstr("did you mean \"operator\"?"));
  request = Client("c");
  request.valid_days = 0;
  EXPECT_FALSE(IssueCertificate(authority_, request, kNow).ok());
  request = Client("c");
  request.dns_names = {"a,URI:fedwatt://operator/root"};
  EXPECT_FALSE(IssueCertificate(authority_, request, kNow).ok());
  request = Client("c");
  request.ip_addresses = {"300.1.1.1"};
  EXPECT_FALSE(IssueCertificate(authority_, request, kNow).ok());
}

TEST_F(X509Test, ALongIdIsKeptWholeInTheIdentity) {
  const std::string id(128, 'a');
  const auto info = ParseCertificate(Issue(Client(id)).certificate_pem);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(CertificateIdentity(*info)->id, id);
}

TEST_F(X509Test, GarbageIsNotACertificate) {
  EXPECT_EQ(ParseCertificate("garbage").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseCertificate(authority_.key_pem).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(CheckCertificate("", authority_.certificate_pem, kNow).ok());
  EXPECT_FALSE(CheckKeyMatches(authority_.certificate_pem, "garbage").ok());
}

TEST_F(X509Test, ACertificateWithoutIdentityIsToldSo) {
  const auto info = ParseCertificate(authority_.certificate_pem);
  EXPECT_THAT(Message(CertificateIdentity(*info).status()), HasSubstr("carries no identity"));
}

TEST_F(X509Test, TwoIdentitiesInOneCertificateAreRefused) {
  CertificateInfo info;
  info.san_uris = {"https://example.org", "fedwatt://client/a", "fedwatt://operator/a"};
  EXPECT_THAT(Message(CertificateIdentity(info).status()), HasSubstr("more than one identity"));
}

TEST(IdentityUri, RoundTripsAndIsStrict) {
  EXPECT_EQ(*ParseIdentityUri(IdentityUri({"operator", "alice"})), (Identity{"operator", "alice"}));
  for (const char* uri : {"", "fedwatt://", "fedwatt://client", "fedwatt://client/",
                          "fedwatt://root/a", "https://client/a", "fedwatt://client/a/b"}) {
    EXPECT_FALSE(ParseIdentityUri(uri).ok()) << uri;
  }
}

// An independent implementation agrees: the openssl program verifies chain, purpose and host.
TEST_F(X509Test, TheOpensslProgramAcceptsTheChain) {
  const TempDir dir;
  const int64_t now = SystemClock().NowMs();
  const CertifiedKey authority = *CreateAuthority("ca", now, 10);
  CertificateRequest request = Client("server");
  request.role = "coordinator";
  request.dns_names = {"localhost"};
  const CertifiedKey server = *IssueCertificate(authority, request, now);
  ASSERT_TRUE(WriteFileAtomic(dir.File("ca.pem"), authority.certificate_pem).ok());
  ASSERT_TRUE(WriteFileAtomic(dir.File("server.pem"), server.certificate_pem).ok());
  auto verify = Subprocess::Spawn(
      {.argv = {"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname",
                "localhost", "-CAfile", dir.File("ca.pem"), dir.File("server.pem")}});
  ASSERT_TRUE(verify.ok()) << verify.status();
  EXPECT_TRUE(verify->Wait(20'000)->ok());
}

TEST(UtcTime, IsIso8601) { EXPECT_EQ(UtcTime(1767225600000), "2026-01-01T00:00:00Z"); }

}  // namespace
}  // namespace fedwatt
