// Electricity Maps, and what it has in common with every service: errors, cache, token.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/server/carbon/service_fixture.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;
using testing::Not;

using ElectricityMapsTest = CarbonServiceTest;

std::string ElectricityMapsSays(const std::string& grams,
                                const std::string& time = "2026-01-01T00:00:00.000Z",
                                const std::string& zone = "DE",
                                const std::string& type = "lifecycle") {
  return absl::StrCat(R"({"zone":")", zone, R"(","carbonIntensity":)", grams, R"(,"datetime":")",
                      time, R"(","emissionFactorType":")", type, R"(","isEstimated":true})");
}

TEST_F(ElectricityMapsTest, ElectricityMapsGivesTheAverageOfTheZone) {
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

TEST_F(ElectricityMapsTest, ALyingServiceIsNotBelieved) {
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

TEST_F(ElectricityMapsTest, TellsApartWhatTheServiceAnswers) {
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

TEST_F(ElectricityMapsTest, NobodyThereIsUnavailable) {
  const auto source = New("electricity_maps", "DE");
  config_.url = "http://127.0.0.1:1";
  const auto lonely = *MakeCarbonSource(config_);
  EXPECT_TRUE(absl::IsUnavailable(lonely->Refresh(kNow)));
  EXPECT_TRUE(absl::IsUnavailable(lonely->At(kNow).status()));
}

TEST_F(ElectricityMapsTest, ASilentServiceEndsWithTheTimeLimit) {
  New("electricity_maps", "DE");
  config_.timeout_ms = 100;
  const auto source = *MakeCarbonSource(config_);
  server_.SetAnswer("");
  EXPECT_TRUE(absl::IsUnavailable(source->Refresh(kNow)));
}

TEST_F(ElectricityMapsTest, ARestartFindsTheLastFigureInItsCache) {
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

TEST_F(ElectricityMapsTest, TheTokenIsReadAnewEachTimeAndMustBeOneWord) {
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

TEST_F(ElectricityMapsTest, ARegionCannotChangeTheRequest) {
  const auto source = New("electricity_maps", "DE&x=1 HTTP/1.1\r\nEvil: 1");
  server_.SetAnswer(OneAnswerServer::Ok(ElectricityMapsSays("302")));
  EXPECT_FALSE(source->Refresh(kNow).ok());
  EXPECT_THAT(server_.last_request(), HasSubstr("zone=DE%26x%3D1%20HTTP"));
  EXPECT_THAT(server_.last_request(), Not(HasSubstr("\nEvil")));
}

}  // namespace
}  // namespace fedwatt
