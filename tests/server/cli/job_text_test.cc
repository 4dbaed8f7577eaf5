#include "server/cli/job_text.h"

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/cli/text_table.h"

namespace fedwatt::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

constexpr char kEstimated[] =
    "energy { source: 'cpu_time' quality: ENERGY_QUALITY_ESTIMATED scope: ENERGY_SCOPE_PROCESS "
    "useful_uj: 40000000 wasted_uj: 1200000 samples: 8 }";

TEST(EnergyText, CarriesQualitySourceScopeAndWaste) {
  const auto round = Parse<v1::RoundSummary>(kEstimated);
  EXPECT_EQ(EnergyText(round.energy()), "41.2 J estimated (cpu_time, process), 1.20 J wasted");
}

TEST(EnergyText, NeverAddsDifferentKinds) {
  const auto round = Parse<v1::RoundSummary>(
      std::string(kEstimated) +
      "energy { source: 'rapl' quality: ENERGY_QUALITY_DERIVED scope: ENERGY_SCOPE_PROCESS "
      "useful_uj: 2500000000000 samples: 1 }");
  EXPECT_EQ(
      EnergyText(round.energy()),
      "41.2 J estimated (cpu_time, process), 1.20 J wasted + 2.50 MJ derived (rapl, process)");
}

TEST(EnergyText, UnavailableIsNotZero) {
  const auto round = Parse<v1::RoundSummary>(
      "energy { source: 'rapl' quality: ENERGY_QUALITY_UNAVAILABLE samples: 3 unavailable: 3 }");
  EXPECT_EQ(EnergyText(round.energy()), "3 samples unavailable from rapl");
  EXPECT_EQ(ShortEnergyText(round.energy()), "3 unavailable");
  EXPECT_EQ(EnergyText(v1::RoundSummary().energy()), "none reported");
  EXPECT_EQ(ShortEnergyText(v1::RoundSummary().energy()), "no joules reported");
}

TEST(RoundLine, TellsPhaseReportsMetricsBytesEnergyAndTimeLeft) {
  const auto round = Parse<v1::RoundSummary>(
      "key { round: 3 } phase: 'committed' assigned: 10 reported: 8 failed: 1 late: 1 "
      "bytes_up: 53200000 bytes_down: 40000000 evaluation { accuracy: 0.712 loss: 0.8125 } " +
      std::string(kEstimated));
  EXPECT_EQ(RoundLine(round, 10, 62'000),
            "round  3/10  committed  8/10 reports, 1 failed, 1 late  accuracy 71.2 %  loss 0.8125  "
            "up 53.2 MB  down 40.0 MB  41.2 J estimated (cpu_time)  left 1 m 02 s");
}

TEST(RoundLine, SaysWhenTheMetricIsOfClientsOwnData) {
  const auto round = Parse<v1::RoundSummary>(
      "key { round: 1 } phase: 'committed' train_after { loss: 1.5 named { key: 'f1' value: 0.25 } "
      "}");
  EXPECT_THAT(RoundLine(round, 2, std::nullopt),
              HasSubstr("loss 1.5000  f1 0.25  (on clients' own data)"));
}

TEST(RoundLine, AbandonedTellsWhy) {
  const auto round =
      Parse<v1::RoundSummary>("key { round: 2 attempt: 3 } phase: 'abandoned' reason: 'too few'");
  EXPECT_EQ(RoundLine(round, 5, std::nullopt), "round 2/5  abandoned (attempt 3): too few");
}

TEST(StatusLine, FollowsAttemptAndEvaluation) {
  const auto job = Parse<v1::Job>(
      "spec { rounds: 9 } current { key { round: 4 attempt: 2 evaluation: true } "
      "phase: 'reporting' assigned: 5 reported: 2 }");
  EXPECT_THAT(StatusLine(job, std::nullopt),
              HasSubstr("evaluating round 4/9  reporting  attempt 2  2/5"));
}

TEST(JobSummary, HasHashStateAndTotals) {
  const auto job = Parse<v1::Job>(
      "id: 'q-1' state: JOB_STATE_COMPLETED stop_reason: 'rounds' rounds_done: 2 "
      "spec { rounds: 2 stop { metric: 'accuracy' } } best_metric: 0.75 best { version: 2 } "
      "created_ms: 1000 ended_ms: 31000 last { sha256: '\\001\\377' } ");
  const std::string text = JobSummary(job);
  EXPECT_THAT(text, HasSubstr("completed (rounds)"));
  EXPECT_THAT(text, HasSubstr("accuracy 75.0 % (round 2)"));
  EXPECT_THAT(text, HasSubstr("01ff"));
  EXPECT_THAT(text, HasSubstr("30.0 s"));
  EXPECT_THAT(text, HasSubstr("none reported"));
}

TEST(JobTable, EmptySaysWhatToDo) { EXPECT_THAT(JobTable({}), HasSubstr("fedwatt run job.toml")); }

TEST(TimeLeft, IsTheMeanOfRoundsSoFar) {
  const auto job = Parse<v1::Job>("spec { rounds: 10 } rounds_done: 4");
  EXPECT_EQ(TimeLeftMs(job, 1000, 9000), 12'000);
  EXPECT_EQ(TimeLeftMs(Parse<v1::Job>("spec { rounds: 10 }"), 0, 9000), std::nullopt);
  EXPECT_EQ(TimeLeftMs(job, 9000, 1000), std::nullopt) << "a clock that went back";
  EXPECT_EQ(TimeLeftMs(Parse<v1::Job>("spec { rounds: 4 } rounds_done: 4"), 0, 9000), std::nullopt);
}

TEST(TextTable, AlignsNumbersRightAndTextLeft) {
  EXPECT_EQ(TextTable({{"name", "n"}, {"a", "10"}, {"long one", "9"}}),
            "name       n\na         10\nlong one   9\n");
}

}  // namespace
}  // namespace fedwatt::cli
