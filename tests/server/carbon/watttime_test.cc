// WattTime: marginal figures in pounds per megawatt-hour.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/server/carbon/service_fixture.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

using WattTimeTest = CarbonServiceTest;

std::string WattTimeSays(const std::string& pounds, const std::string& units = "lbs_co2_per_mwh",
                         const std::string& signal = "co2_moer") {
  return absl::StrCat(R"({"data":[{"point_time":"2026-01-01T00:00:00+00:00","value":)", pounds,
                      R"(},{"point_time":"2026-01-01T00:05:00+00:00","value":1000}],)",
                      R"("meta":{"region":"CAISO_NORTH","signal_type":")", signal, R"(","units":")",
                      units, R"("}})");
}

TEST_F(WattTimeTest, WattTimeGivesTheMarginalForecastInGrams) {
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

TEST_F(WattTimeTest, AForecastThatBeginsLaterLeavesThePresentToTheOneBefore) {
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

TEST_F(WattTimeTest, WattTimeInAnotherUnitOrSignalIsRefused) {
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

}  // namespace
}  // namespace fedwatt
