#include "server/carbon/http_get.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "tests/server/carbon/one_answer_server.h"

namespace fedwatt {
namespace {

std::string Temp(const std::string& name) { return absl::StrCat(testing::TempDir(), "/", name); }

TEST(HttpGet, AnEndlessAnswerIsCutOff) {
  OneAnswerServer server(OneAnswerServer::Status(500));
  HttpRequest request{.url = server.url(), .max_bytes = 1000};
  server.SetAnswer(OneAnswerServer::Ok(std::string(1000, 'x')));
  EXPECT_TRUE(HttpGet(request).ok());
  server.SetAnswer(OneAnswerServer::Ok(std::string(1001, 'x')));
  EXPECT_TRUE(absl::IsResourceExhausted(HttpGet(request).status()));
}

TEST(HttpGet, SendsNothingToStrangersInTheClear) {
  for (const char* url : {"http://example.org/", "ftp://127.0.0.1/", "file:///etc/passwd", "",
                          "http://127.0.0.1.example.org/"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(HttpGet({.url = url}).status())) << url;
  }
}

TEST(HttpGet, VerifiesTheCertificate) {
  const int64_t now_ms = SystemClock().NowMs();
  const auto authority = CreateAuthority("test", now_ms, 1);
  ASSERT_TRUE(authority.ok()) << authority.status();
  const CertificateRequest here{
      .role = "coordinator", .id = "web", .ip_addresses = {"127.0.0.1"}, .valid_days = 1};
  const auto key = IssueCertificate(*authority, here, now_ms);
  ASSERT_TRUE(key.ok()) << key.status();
  const CertificateRequest elsewhere{
      .role = "coordinator", .id = "web", .ip_addresses = {"127.0.0.9"}, .valid_days = 1};
  const auto other = IssueCertificate(*authority, elsewhere, now_ms);
  ASSERT_TRUE(other.ok());
  const std::string ca_file = Temp("ca.pem");
  ASSERT_TRUE(WriteFileAtomic(ca_file, authority->certificate_pem).ok());

  const OneAnswerServer server(OneAnswerServer::Ok("hello"), &*key);
  const auto trusted = HttpGet({.url = server.url(), .ca_file = ca_file});
  ASSERT_TRUE(trusted.ok()) << trusted.status();
  EXPECT_EQ(*trusted, "hello");
  EXPECT_TRUE(absl::IsUnavailable(HttpGet({.url = server.url()}).status())) << "unknown authority";
  const OneAnswerServer impostor(OneAnswerServer::Ok("hello"), &*other);
  EXPECT_TRUE(absl::IsUnavailable(HttpGet({.url = impostor.url(), .ca_file = ca_file}).status()))
      << "the certificate is another host's";
}

}  // namespace
}  // namespace fedwatt
