// The two services, played by a server on loopback.

#include "server/carbon/http_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "server/carbon/http_get.h"
#include "tests/server/carbon/one_answer_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int64_t kNow = FakeClock::kDefaultStartMs;  // 2026-01-01T00:00:00Z
constexpr int64_t kHour = 3'600'000;

std::string Temp(const std::string& name) { return absl::StrCat(testing::TempDir(), "/", name); }

std::string ElectricityMapsSays(const std::string& grams,
                                const std::string& time = "2026-01-01T00:00:00.000Z",
                                const std::string& zone = "DE",
                                const std::string& type = "lifecycle") {
  return absl::StrCat(R"({"zone":")", zone, R"(","carbonIntensity":)", grams, R"(,"datetime":")",
                      time, R"(","emissionFactorType":")", type, R"(","isEstimated":true})");
}

std::string WattTimeSays(const std::string& pounds, const std::string& units = "lbs_co2_per_mwh",
                         const std::string& signal = "co2_moer") {
  return absl::StrCat(R"({"data":[{"point_time":"2026-01-01T00:00:00+00:00","value":)", pounds,
                      R"(},{"point_time":"2026-01-01T00:05:00+00:00","value":1000}],)",
                      R"("meta":{"region":"CAISO_NORTH","signal_type":")", signal, R"(","units":")",
                      units, R"("}})");
}

class HttpSourceTest : public testing::Test {
 protected:
  std::unique_ptr<CarbonSource> New(const std::string& name, const std::string& region) {
    config_.source = name;
    config_.region = region;
    config_.url = server_.url();
    config_.token_file = Temp("token");
    config_.timeout_ms = 5000;
    EXPECT_TRUE(WriteFileAtomic(config_.token_file, "s3cret\n").ok());
    auto source = MakeCarbonSource(config_);
    EXPECT_TRUE(source.ok()) << source.status();
    return *std::move(source);
  }

  CarbonConfig config_;
  OneAnswerServer server_{OneAnswerServer::Status(500)};
};

TEST_F(HttpSourceTest, ElectricityMapsGivesTheAverageOfTheZone) {
  const auto source = New("electricity_maps", "DE");
  server_.SetAnswer(OneAnswerServer::Ok(ElectricityMapsSays("302")));
  ASSERT_TRUE(source->Refresh(kNow).ok());
  const auto at = source->At(kNow + 60'000);
  ASSERT_TRUE(at.ok()) << at.status();
  EXPECT_EQ(at->g_per_kwh, 302);
  EXPECT_EQ(CarbonKindText(at->kind), "average lifecycle CO2e location");
  EXPECT_EQ(at->source, "electricity_maps: DE");
  EXPECT_THAT(at->note, HasSubstr("estimated"));
  EXPECT_FALSE(at->stale);
  EXPECT_THAT(server_.last_request(), HasSubstr("GET /v3/carbon-intensity/latest?zone=DE HTTP"));
  EXPECT_THAT(server_.last_request(), HasSubstr("auth-token: s3cret"));
}

TEST_F(HttpSourceTest, WattTimeGivesTheMarginalForecastInGrams) {
  const auto source = New("watttime", "CAISO_NORTH");
  server_.SetAnswer(OneAnswerServer::Ok(WattTimeSays("870")));
  ASSERT_TRUE(source->Refresh(kNow).ok());
  EXPECT_NEAR(source->At(kNow)->g_per_kwh, 870 * 0.4536, 1e-9);
  EXPECT_NEAR(source->At(kNow + 300'000)->g_per_kwh, 453.6, 1e-9);
  EXPECT_EQ(CarbonKindText(source->At(kNow)->kind), "marginal direct CO2 location");
  EXPECT_TRUE(source->At(kNow + 600'000)->stale) << "the forecast is over";
  EXPECT_THAT(server_.last_request(), HasSubstr("signal_type=co2_moer&region=CAISO_NORTH"));
  EXPECT_THAT(server_.last_request(), HasSubstr("Authorization: Bearer s3cret"));
}

TEST_F(HttpSourceTest, AForecastThatBeginsLaterLeavesThePresentToTheOneBefore) {
  const auto source = New("watttime", "CAISO_NORTH");
  EXPECT_TRUE(absl::IsUnavailable(source->At(kNow).status()));
  server_.SetAnswer(OneAnswerServer::Ok(WattTimeSays("870")));
  ASSERT_TRUE(source->Refresh(kNow).ok());
  std::string later = WattTimeSays("500");
  later.replace(later.find("00:00:00+"), 8, "00:03:00");
  server_.SetAnswer(OneAnswerServer::Ok(later));
  ASSERT_TRUE(source->Refresh(kNow + 60'000).ok());
  EXPECT_NEAR(source->At(kNow + 60'000)->g_per_kwh, 870 * 0.4536, 1e-9);
  EXPECT_NEAR(source->At(kNow + 180'000)->g_per_kwh, 500 * 0.4536, 1e-9);
}

TEST_F(HttpSourceTest, ALyingServiceIsNotBelieved) {
  const std::pair<std::string, const char*> lies[] = {
      {ElectricityMapsSays("-5"), "cannot be"},
      {ElectricityMapsSays("1e9"), "cannot be"},
      {ElectricityMapsSays("0"), "missing figure"},
      {ElectricityMapsSays("null"), "no number \"carbonIntensity\""},
      {ElectricityMapsSays("\"302\""), "no number \"carbonIntensity\""},
      {ElectricityMapsSays("NaN"), "not JSON"},
      {ElectricityMapsSays("302", "2026-01-01T02:00:00Z"), "lies ahead"},
      {ElectricityMapsSays("302", "soon"), "is not a time"},
      {ElectricityMapsSays("302", "2026-01-01T00:00:00Z", "FR"), "\"FR\", not \"DE\""},
      {ElectricityMapsSays("302", "2026-01-01T00:00:00Z", "DE", "direct"), "not \"lifecycle\""},
      {"[302]", "not a JSON object"},
      {"<html>", "not JSON"},
      {"", "not JSON"},
  };
  const auto source = New("electricity_maps", "DE");
  server_.SetAnswer(OneAnswerServer::Ok(ElectricityMapsSays("302")));
  ASSERT_TRUE(source->Refresh(kNow).ok());
  for (const auto& [answer, why] : lies) {
    server_.SetAnswer(OneAnswerServer::Ok(answer));
    const absl::Status refused = source->Refresh(kNow);
    EXPECT_FALSE(refused.ok()) << answer;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(why)) << answer;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("electricity_maps: DE"));
    EXPECT_EQ(source->At(kNow)->g_per_kwh, 302) << "the last good figure stays";
  }
  const auto later = source->At(kNow + 2 * kHour);
  EXPECT_TRUE(later->stale);
  EXPECT_THAT(later->note, HasSubstr("not JSON")) << "why it is stale";
}

TEST_F(HttpSourceTest, WattTimeInAnotherUnitOrSignalIsRefused) {
  const auto source = New("watttime", "CAISO_NORTH");
  const std::pair<std::string, const char*> lies[] = {
      {WattTimeSays("870", "kg_co2_per_kwh"), "not \"lbs_co2_per_mwh\""},
      {WattTimeSays("870", "lbs_co2_per_mwh", "co2_aoer"), "not \"co2_moer\""},
      {WattTimeSays("-870"), "cannot be"},
      {WattTimeSays("1e9"), "cannot be"},
      {R"({"data":[]})", "\"meta\""},
      {R"({"data":[],"meta":7})", "no text \"region\""},
  };
  for (const auto& [answer, why] : lies) {
    server_.SetAnswer(OneAnswerServer::Ok(answer));
    EXPECT_THAT(std::string(source->Refresh(kNow).message()), HasSubstr(why)) << answer;
    EXPECT_TRUE(absl::IsUnavailable(source->At(kNow).status())) << "never a silent zero";
  }
}

TEST_F(HttpSourceTest, TellsApartWhatTheServiceAnswers) {
  const auto source = New("electricity_maps", "DE");
  const std::pair<int, absl::StatusCode> answers[] = {
      {401, absl::StatusCode::kUnauthenticated},    {403, absl::StatusCode::kUnauthenticated},
      {404, absl::StatusCode::kFailedPrecondition}, {429, absl::StatusCode::kResourceExhausted},
      {500, absl::StatusCode::kUnavailable},        {503, absl::StatusCode::kUnavailable},
      {302, absl::StatusCode::kFailedPrecondition}};  // a redirect would carry the token away
  for (const auto& [status, code] : answers) {
    server_.SetAnswer(OneAnswerServer::Status(status));
    const absl::Status failed = source->Refresh(kNow);
    EXPECT_EQ(failed.code(), code) << status;
    EXPECT_THAT(std::string(failed.message()), HasSubstr(absl::StrCat("answered ", status)));
    EXPECT_THAT(std::string(failed.message()), Not(HasSubstr("s3cret")));
  }
}

TEST_F(HttpSourceTest, NobodyThereIsUnavailable) {
  const auto source = New("electricity_maps", "DE");
  config_.url = "http://127.0.0.1:1";
  const auto lonely = *MakeCarbonSource(config_);
  EXPECT_TRUE(absl::IsUnavailable(lonely->Refresh(kNow)));
  EXPECT_TRUE(absl::IsUnavailable(lonely->At(kNow).status()));
}

TEST_F(HttpSourceTest, ASilentServiceEndsWithTheTimeLimit) {
  New("electricity_maps", "DE");
  config_.timeout_ms = 100;
  const auto source = *MakeCarbonSource(config_);
  server_.SetAnswer("");
  EXPECT_TRUE(absl::IsUnavailable(source->Refresh(kNow)));
}

TEST_F(HttpSourceTest, AnEndlessAnswerIsCutOff) {
  HttpRequest request{.url = server_.url(), .max_bytes = 1000};
  server_.SetAnswer(OneAnswerServer::Ok(std::string(1000, 'x')));
  EXPECT_TRUE(HttpGet(request).ok());
  server_.SetAnswer(OneAnswerServer::Ok(std::string(1001, 'x')));
  EXPECT_TRUE(absl::IsResourceExhausted(HttpGet(request).status()));
}

TEST_F(HttpSourceTest, ARestartFindsTheLastFigureInItsCache) {
  config_.cache_file = Temp("carbon-cache.json");
  {
    const auto source = New("electricity_maps", "DE");
    server_.SetAnswer(OneAnswerServer::Ok(ElectricityMapsSays("302")));
    ASSERT_TRUE(source->Refresh(kNow).ok());
  }
  const auto source = New("electricity_maps", "DE");
  EXPECT_EQ(source->At(kNow)->g_per_kwh, 302);
  EXPECT_FALSE(source->At(kNow)->stale);
  EXPECT_TRUE(source->At(kNow + 2 * kHour)->stale);
  // The cache of another region, or a damaged one, is nobody's figure.
  EXPECT_TRUE(absl::IsUnavailable(New("electricity_maps", "FR")->At(kNow).status()));
  ASSERT_TRUE(WriteFileAtomic(config_.cache_file, "{\"kind\":").ok());
  EXPECT_TRUE(absl::IsUnavailable(New("electricity_maps", "DE")->At(kNow).status()));
}

TEST_F(HttpSourceTest, TheTokenIsReadAnewEachTimeAndMustBeOneWord) {
  const auto source = New("electricity_maps", "DE");
  server_.SetAnswer(OneAnswerServer::Ok(ElectricityMapsSays("302")));
  ASSERT_TRUE(WriteFileAtomic(config_.token_file, "renewed").ok());
  ASSERT_TRUE(source->Refresh(kNow).ok());
  EXPECT_THAT(server_.last_request(), HasSubstr("auth-token: renewed"));
  const int asked = server_.requests();
  for (const char* bad : {"", "\n", "two words", "a\r\nEvil: header"}) {
    ASSERT_TRUE(WriteFileAtomic(config_.token_file, bad).ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(source->Refresh(kNow))) << bad;
  }
  EXPECT_EQ(server_.requests(), asked);
}

TEST_F(HttpSourceTest, ARegionCannotChangeTheRequest) {
  const auto source = New("electricity_maps", "DE&x=1 HTTP/1.1\r\nEvil: 1");
  server_.SetAnswer(OneAnswerServer::Ok(ElectricityMapsSays("302")));
  EXPECT_FALSE(source->Refresh(kNow).ok());
  EXPECT_THAT(server_.last_request(), HasSubstr("zone=DE%26x%3D1%20HTTP"));
  EXPECT_THAT(server_.last_request(), Not(HasSubstr("\nEvil")));
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
