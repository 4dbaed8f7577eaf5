#include "simulation/checker.h"

#include <gmock/gmock.h>

#include "server/store/memory_store.h"

// What a broken coordinator would write, and what the checker says to it.
namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const RoundKey kKey{.job = "job", .round = 1, .attempt = 1};

EnergySample Sample(int64_t uj) {
  EnergySample sample;
  sample.source = "simulated";
  sample.quality = EnergyQuality::kSimulated;
  sample.energy_uj = uj;
  return sample;
}

class CheckerTest : public ::testing::Test {
 protected:
  void Write(LogRecord record) { checker_.OnDurable({AppendLog{std::move(record)}}); }
  void Begin(uint32_t min_reports) {
    Write(AttemptBegan{.key = kKey, .limits = {.min_reports = min_reports}});
    Write(ClientsAssigned{.key = kKey, .clients = {"a", "b"}});
  }
  void Accept(uint32_t index) { Write(ReportAccepted{.key = kKey, .index = index}); }
  void Commit(uint32_t reported) {
    RoundCommitted commit{.key = kKey};
    commit.summary.reported = reported;
    Write(commit);
  }

  MemoryStore disk_{nullptr};
  Checker checker_{&disk_, nullptr};
};

TEST_F(CheckerTest, AnOrdinaryRoundBreaksNothing) {
  Begin(2);
  Accept(0);
  Accept(1);
  Commit(2);
  EXPECT_THAT(checker_.violations(), IsEmpty());
}

TEST_F(CheckerTest, AnAssignmentIsCountedOnce) {
  Begin(1);
  Accept(0);
  Accept(0);
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("assignment 0 was counted twice")));
}

// What was in a dead coordinator's memory is sent again; other bytes are another update.
TEST_F(CheckerTest, AnUpdateThatWasLostMayComeOnceMore) {
  Begin(1);
  Accept(0);
  checker_.OnCoordinatorDied();
  Accept(0);
  EXPECT_THAT(checker_.violations(), IsEmpty());
  checker_.OnCoordinatorDied();
  ReportAccepted other{.key = kKey, .index = 0};
  other.report.update.sha256.fill(1);
  Write(other);
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("counted twice")));
}

TEST_F(CheckerTest, AReportIsOfAnAssignmentThatExists) {
  Begin(1);
  Accept(2);
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("assignment 2, of 2")));
}

TEST_F(CheckerTest, ACommitHasItsLeastReports) {
  Begin(2);
  Accept(0);
  Commit(1);
  EXPECT_THAT(checker_.violations(),
              ElementsAre(HasSubstr("with 1 reports, below its least of 2")));
}

TEST_F(CheckerTest, ASummaryCountsWhatWasAccepted) {
  Begin(1);
  Accept(0);
  Commit(2);
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("its summary counts 2")));
}

TEST_F(CheckerTest, ARoundIsCommittedOnceAndInTurn) {
  Begin(1);
  Accept(0);
  Commit(1);
  Commit(1);
  EXPECT_THAT(checker_.violations(),
              ElementsAre(HasSubstr("ended twice"), HasSubstr("committed after round 1")));
}

TEST_F(CheckerTest, AClientHasOneAssignmentOfAnAttempt) {
  Write(AttemptBegan{.key = kKey});
  Write(ClientsAssigned{.key = kKey, .clients = {"a", "a"}});
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("two assignments")));
}

TEST_F(CheckerTest, AnAttemptBeginsIsAssignedAndEndsOnce) {
  Begin(1);
  Write(AttemptBegan{.key = kKey, .limits = {.min_reports = 1}});
  Write(ClientsAssigned{.key = kKey, .clients = {"a", "b"}});
  Write(AttemptAbandoned{.key = kKey});
  Write(AttemptAbandoned{.key = kKey});
  EXPECT_THAT(checker_.violations(),
              ElementsAre(HasSubstr("began twice"), HasSubstr("clients were assigned twice"),
                          HasSubstr("ended twice")));
}

TEST_F(CheckerTest, WhatNeverBeganHasNothing) {
  Accept(0);
  Commit(1);
  Write(ClientsAssigned{.key = kKey, .clients = {"a"}});
  Write(ReportRefused{.key = kKey});
  EXPECT_THAT(checker_.violations(),
              ElementsAre(HasSubstr("a report of an attempt that never began"),
                          HasSubstr("a commit of an attempt"), HasSubstr("assignments of an"),
                          HasSubstr("a refusal of an attempt")));
}

TEST_F(CheckerTest, AReportComesBeforeTheEnd) {
  Begin(1);
  Write(AttemptAbandoned{.key = kKey});
  Accept(0);
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("accepted after the end")));
}

TEST_F(CheckerTest, AReportIsTakenBackOnlyIfItWasLost) {
  Begin(1);
  Accept(0);
  checker_.OnCoordinatorDied();
  Write(ReportRefused{.key = kKey, .index = 0});
  EXPECT_THAT(checker_.violations(), IsEmpty());
  Accept(1);
  Write(ReportRefused{.key = kKey, .index = 1});
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("taken back without a loss")));
}

TEST_F(CheckerTest, ARoundIsEvaluatedOnce) {
  for (const uint32_t attempt : {1, 2}) {
    const RoundKey key{.job = "job", .round = 1, .attempt = attempt, .evaluation = true};
    Write(AttemptBegan{.key = key, .limits = {.min_reports = 0}});
    Write(RoundCommitted{.key = key});
  }
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("evaluated twice")));
}

// What a coordinator would write that gives out more than is left.
TEST_F(CheckerTest, NothingIsAssignedPastTheBudget) {
  PutJob job;
  job.job.id = "job";
  job.job.spec.budget.joules = 10;
  const auto write = [this](StoreWrite one) {
    disk_.Write({one}, [](absl::Status) {});
    checker_.OnDurable({one});
  };
  const auto assign = [&write](uint64_t round) {
    const RoundKey key{.job = "job", .round = round, .attempt = 1};
    write(AppendLog{AttemptBegan{.key = key}});
    ClientsAssigned assigned{.key = key, .clients = {"a"}};
    assigned.forecasts.resize(1);
    assigned.forecasts[0].mean_uj = 6'000'000;
    assigned.forecasts[0].floor_uj = 6'000'000;
    assigned.forecasts[0].ceiling_uj = 6'000'000;
    write(AppendLog{assigned});
  };
  write(job);
  assign(1);
  EXPECT_THAT(checker_.violations(), IsEmpty());
  assign(2);
  EXPECT_THAT(checker_.violations(),
              ElementsAre(HasSubstr("assigned past the budget: 12000000 uJ are booked or reserved, "
                                    "the limit is 10000000")));
}

TEST_F(CheckerTest, TheLedgerHasNothingThatNobodyReported) {
  PutJob job;
  job.job.id = "job";
  ReportAccepted accepted{.key = kKey, .index = 0};
  accepted.report.energy = {Sample(500)};
  RoundCommitted commit{.key = kKey};
  commit.summary.reported = 1;
  disk_.Write({job, AppendLog{AttemptBegan{.key = kKey}},
               AppendLog{ClientsAssigned{.key = kKey, .clients = {"a"}}}, AppendLog{accepted},
               AppendLog{commit}},
              [](absl::Status) {});
  checker_.Finish("job");
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("500 uJ of simulated that nobody")));
}

TEST_F(CheckerTest, TheLedgerHasWhatWasReported) {
  Begin(1);
  ReportAccepted accepted{.key = kKey, .index = 0};
  accepted.report.energy = {Sample(500)};
  Write(accepted);
  Commit(1);
  // The disk has nothing of it.
  PutJob job;
  job.job.id = "job";
  disk_.Write({job}, [](absl::Status) {});
  checker_.Finish("job");
  EXPECT_THAT(checker_.violations(), ElementsAre(HasSubstr("the ledger has 0 uJ of simulated")));
}

}  // namespace
}  // namespace fedwatt
