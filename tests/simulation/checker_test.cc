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
