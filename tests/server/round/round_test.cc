#include "server/round/round.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace fedwatt {
namespace {

constexpr int64_t kLastMs = std::numeric_limits<int64_t>::max();

const AbandonRound& Abandoned(const RoundActions& actions) {
  return std::get<AbandonRound>(actions.back());
}

RoundLimits Impatient(uint32_t max_attempts) {
  RoundLimits limits;
  limits.max_attempts = max_attempts;
  limits.backoff_initial_ms = 5;
  limits.backoff_max_ms = kLastMs;
  return limits;
}

TEST(RoundTest, MovesLimitsToTheNearestLegalValue) {
  const Round round({"job", 1, 1, false}, {.goal = 0,
                                           .assign = 0,
                                           .min_reports = 9,
                                           .selection_timeout_ms = -1,
                                           .report_deadline_ms = -1,
                                           .max_attempts = 0,
                                           .backoff_initial_ms = -1,
                                           .backoff_max_ms = -1});
  const RoundLimits legal = {.goal = 1,
                             .assign = 1,
                             .min_reports = 1,
                             .selection_timeout_ms = 0,
                             .report_deadline_ms = 0,
                             .max_attempts = 1,
                             .backoff_initial_ms = 0,
                             .backoff_max_ms = 0};
  EXPECT_EQ(round.limits(), legal);
}

TEST(RoundTest, NeverCommitsAnEmptyRoundEvenIfMinReportsIsZero) {
  Round round({"job", 1, 1, false}, {.goal = 2, .assign = 2, .min_reports = 0});
  round.Step(ClientsSelected{0, {"ann", "bob"}});
  round.Step(AssignmentsDurable{0});
  round.Step(ClientFailed{1, 0, "x"});
  EXPECT_EQ(Abandoned(round.Step(ClientFailed{2, 1, "x"})).cause, AbandonCause::kTooFewReports);
}

TEST(RoundTest, BackOffDoublesAndNeverOverflows) {
  for (uint32_t attempt : {1u, 2u, 3u, 40u, 63u, 64u, 1'000'000u}) {
    Round round({"job", 1, attempt, false}, Impatient(UINT32_MAX));
    round.Step(BeginAttempt{0});
    const AbandonRound end = Abandoned(round.Step(TimerFired{1000}));
    EXPECT_FALSE(end.give_up);
    EXPECT_EQ(end.retry_at_ms, attempt <= 60 ? 1000 + (int64_t{5} << (attempt - 1)) : kLastMs);
  }
}

TEST(RoundTest, DeadlinesFarAheadDoNotOverflow) {
  Round round({"job", 1, 1, false},
              {.selection_timeout_ms = kLastMs, .report_deadline_ms = kLastMs});
  round.Step(BeginAttempt{1'700'000'000'000});
  EXPECT_EQ(round.deadline_ms(), kLastMs);
  round.Step(ClientsSelected{1'700'000'000'000, {"ann"}});
  EXPECT_EQ(round.deadline_ms(), kLastMs);
}

TEST(RoundTest, GivesUpFromTheLastAttemptOn) {
  for (const auto& [attempt, gives_up] : {std::pair{2u, false}, {3u, true}, {4u, true}}) {
    Round round({"job", 1, attempt, false}, Impatient(3));
    round.Step(BeginAttempt{0});
    EXPECT_EQ(Abandoned(round.Step(RoundError{0, "x"})).give_up, gives_up) << attempt;
  }
}

TEST(RoundTest, AnOperatorsStopCanBeToldFromFailures) {
  Round round({"job", 1, 3, false}, Impatient(3));
  round.Step(BeginAttempt{0});
  const AbandonRound end = Abandoned(round.Step(OperatorStopped{77}));
  EXPECT_EQ(end.cause, AbandonCause::kOperator);
  EXPECT_FALSE(end.give_up);
  EXPECT_EQ(end.retry_at_ms, 77);
}

// Law 2: what a round is told stays small, whatever the model's size.
TEST(RoundTest, EventsAreSmall) { EXPECT_LE(sizeof(RoundEvent), 128u); }

TEST(RoundTest, EventsReadAsOneLine) {
  BlobRef blob;
  blob.sha256.fill(0xab);
  blob.size = 5;
  EXPECT_EQ(ToString(RoundEvent(ReportArrived{12, 3, 600, blob})),
            "@12 report 3 weight=600 update=abababab/5B");
  EXPECT_EQ(ToString(RoundEvent(ReportArrived{12, 3, 600, {}})),
            "@12 report 3 weight=600 update=-");
  EXPECT_EQ(ToString(RoundEvent(ClientsSelected{1, {"ann", "bob"}})), "@1 selected [ann bob]");
}

}  // namespace
}  // namespace fedwatt
