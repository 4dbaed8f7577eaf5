// What every Store does: jobs, batches, and the life of a round.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/store/each_store.h"
#include "tests/server/store/records.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StoreConformance : public EachStore {};
INSTANTIATE_TEST_SUITE_P(All, StoreConformance, EveryStore(), StoreName);

// ---- jobs

TEST_P(StoreConformance, GivesJobsBackInTheOrderOfTheirCreation) {
  JobRecord later = MakeJob("a-2");
  later.created_ms = kNowMs + 1;
  later.spec.tenant = "acme";
  ASSERT_TRUE(Write({PutJob{later}}).ok());
  const auto jobs = *store().LoadJobs();
  ASSERT_THAT(jobs, SizeIs(2));
  EXPECT_EQ(jobs[0].id, "job-1");
  EXPECT_EQ(jobs[1].id, "a-2");
  EXPECT_EQ(jobs[1].spec.tenant, "acme");
  EXPECT_EQ(jobs[0].bundle_sha256, DigestOf("bundle"));
  EXPECT_EQ(jobs[0].request_id, "request-job-1");
}

TEST_P(StoreConformance, PutJobReplacesTheJobAndKeepsItsRecords) {
  ASSERT_TRUE(Write({Began(Train(1))}).ok());
  JobRecord job = MakeJob();
  job.state = JobState::kStopped;
  job.stop_reason = "operator";
  ASSERT_TRUE(Write({PutJob{job}}).ok());
  const auto jobs = *store().LoadJobs();
  ASSERT_THAT(jobs, SizeIs(1));
  EXPECT_EQ(jobs[0].state, JobState::kStopped);
  EXPECT_EQ(jobs[0].stop_reason, "operator");
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/r1/a1"));
}

TEST_P(StoreConformance, RefusesAJobIdOfAnotherTenant) {
  JobRecord job = MakeJob();
  job.spec.tenant = "acme";
  const absl::Status status = Write({PutJob{job}});
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("job-1"));
  EXPECT_EQ((*store().LoadJobs())[0].spec.tenant, "default");
}

TEST_P(StoreConformance, OfAnUnknownJobNothingIsKnown) {
  EXPECT_THAT(*store().LoadLog("nope"), IsEmpty());
  EXPECT_THAT(*store().LoadModels("nope"), IsEmpty());
  EXPECT_THAT(*store().LoadRounds("nope"), IsEmpty());
  EXPECT_THAT(*store().LoadHistory("nope"), IsEmpty());
  EXPECT_THAT(*store().EnergyTotals("nope"), IsEmpty());
  EXPECT_FALSE(store().LastCommit("nope")->has_value());
  EXPECT_FALSE(store().FindAssignment("nope/r1/a1/0")->has_value());
}

// ---- batches

TEST_P(StoreConformance, ABatchIsAllOrNothing) {
  const absl::Status status =
      Write({PutJob{MakeJob("job-2")}, Began(Train(1)), Began(Train(1, 1, "ghost"))});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ghost"));
  EXPECT_THAT(*store().LoadJobs(), SizeIs(1));
  EXPECT_THAT(LogOf("job-1"), IsEmpty());
}

TEST_P(StoreConformance, ABatchMayPutAJobAndItsFirstRecords) {
  ASSERT_TRUE(Write({PutJob{MakeJob("job-2")}, Began(Train(1, 1, "job-2"))}).ok());
  EXPECT_THAT(LogOf("job-2"), ElementsAre("began job-2/r1/a1"));
}

TEST_P(StoreConformance, AnEmptyBatchIsDoneToo) { EXPECT_TRUE(Write({}).ok()); }

// ---- the life of a round

TEST_P(StoreConformance, AssignmentsAreThereOnceTheyAreLogged) {
  ASSERT_TRUE(Write({Began(Train(1)), Assigned(Train(1), {"ann", "bob"})}).ok());
  const auto found = store().FindAssignment("job-1/r1/a1/1");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->id, "job-1/r1/a1/1");
  EXPECT_EQ((*found)->client, "bob");
  EXPECT_EQ((*found)->key, Train(1));
  EXPECT_EQ((*found)->index, 1u);
  EXPECT_EQ(StateOf(Train(1), 0), "assigned");
  EXPECT_EQ(StateOf(Train(1), 2), "unknown");
  EXPECT_EQ(StateOf(Evaluate(1), 0), "unknown");
}

TEST_P(StoreConformance, AnAssignmentKeepsItsCodecAndWhy) {
  AppendLog assigned = Assigned(Train(1), {"ann", "bob"});
  auto& record = std::get<ClientsAssigned>(assigned.record);
  record.codecs = {"eden:bits=2", "raw_f32"};
  record.codec_reasons = {"eden:bits=2: 3.1 J", "raw_f32: offers no other"};
  ASSERT_TRUE(Write({Began(Train(1)), assigned, Accepted(Train(1), 0), Committed(Train(1))}).ok());
  const auto ann = store().FindAssignment("job-1/r1/a1/0");
  const auto bob = store().FindAssignment("job-1/r1/a1/1");
  EXPECT_EQ((*ann)->codec, "eden:bits=2");
  EXPECT_EQ((*ann)->codec_reason, "eden:bits=2: 3.1 J");
  EXPECT_EQ((*bob)->codec, "raw_f32");
  EXPECT_EQ((*bob)->codec_reason, "raw_f32: offers no other");
  // Of a log of before there were codecs to choose from.
  ASSERT_TRUE(Write({Assigned(Train(2), {"ann"})}).ok());
  EXPECT_EQ((*store().FindAssignment("job-1/r2/a1/0"))->codec, "");
}

TEST_P(StoreConformance, FindsNothingUnderAnIdThatIsNone) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"})}).ok());
  for (const char* id : {"", "/", "job-1", "job-1/r1/a1", "job-1/r1/a1/", "job-1/r01/a1/0",
                         "job-1/x1/a1/0", "job-1/r1/a1/-1", "job-1/r1/a1/99999999999999"}) {
    EXPECT_FALSE(store().FindAssignment(id)->has_value()) << id;
  }
}

TEST_P(StoreConformance, LogGivesWhatAReplayNeeds) {
  AppendLog with_classes = Assigned(Train(1), {"ann", "bob"});
  std::get<ClientsAssigned>(with_classes.record).device_classes = {"phone", ""};
  ASSERT_TRUE(Write({Began(Train(1)), with_classes}).ok());
  ASSERT_TRUE(Write({Accepted(Train(1), 1)}).ok());
  const auto log = *store().LoadLog("job-1");
  ASSERT_THAT(log, SizeIs(3));
  EXPECT_EQ(std::get<AttemptBegan>(log[0]).limits.assign, 3u);
  const auto& assigned = std::get<ClientsAssigned>(log[1]);
  EXPECT_THAT(assigned.clients, ElementsAre("ann", "bob"));
  EXPECT_EQ(assigned.selector_state, std::string("state\0\xff", 7));
  EXPECT_THAT(assigned.device_classes, ElementsAre("phone", ""));
  const auto& accepted = std::get<ReportAccepted>(log[2]);
  EXPECT_EQ(accepted.index, 1u);
  EXPECT_EQ(accepted.report.weight, 600u);
  EXPECT_EQ(accepted.report.update.sha256, DigestOf("update"));
  EXPECT_EQ(accepted.clip_factor, 0.5);
  EXPECT_EQ(accepted.now_ms, kNowMs);
}

TEST_P(StoreConformance, ACommitSettlesAssignmentsAndEnergyAndCompactsTheLog) {
  ASSERT_TRUE(Write({Began(Train(1)), Assigned(Train(1), {"ann", "bob", "cat"})}).ok());
  ASSERT_TRUE(Write({Accepted(Train(1), 0), Accepted(Train(1), 1)}).ok());
  EXPECT_THAT(EnergyOf("job-1"), IsEmpty()) << "pending: neither useful nor wasted yet";
  ASSERT_TRUE(Write({Committed(Train(1)), Began(Train(2))}).ok());
  EXPECT_EQ(StateOf(Train(1), 0), "committed");
  EXPECT_EQ(StateOf(Train(1), 2), "refused: late: the round went on without it");
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 200 wasted 0 of 2, 0 unavailable"));
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/r2/a1"));
}

TEST_P(StoreConformance, LastCommitRestoresTheJob) {
  EXPECT_FALSE(store().LastCommit("job-1")->has_value());
  for (uint64_t round = 1; round <= 2; ++round) {
    ASSERT_TRUE(
        Write({Assigned(Train(round), {"ann"}), Accepted(Train(round), 0), Committed(Train(round))})
            .ok());
  }
  const auto commit = *store().LastCommit("job-1");
  ASSERT_TRUE(commit.has_value());
  EXPECT_EQ(commit->key, Train(2));
  EXPECT_EQ(commit->model.sha256, DigestOf("model2"));
  EXPECT_EQ(commit->strategy_state, DigestOf("strategy"));
  EXPECT_EQ(commit->codec_state, Digest{});
  EXPECT_EQ(commit->rng_counter, 7u);
  EXPECT_EQ(commit->best_metric, 0.875);
  EXPECT_EQ(commit->best.version, 2u);
}

TEST_P(StoreConformance, RoundsAndModelsOutliveCompaction) {
  for (uint64_t round = 1; round <= 12; ++round) ASSERT_TRUE(Write({Committed(Train(round))}).ok());
  const auto rounds = *store().LoadRounds("job-1");
  const auto models = *store().LoadModels("job-1");
  ASSERT_THAT(rounds, SizeIs(12));
  ASSERT_THAT(models, SizeIs(12));
  for (uint64_t i = 0; i < 12; ++i) {
    EXPECT_EQ(rounds[i].key.round, i + 1);
    EXPECT_EQ(models[i].version, i + 1);
  }
}

TEST_P(StoreConformance, AnAbandonedAttemptWastesWhatItGot) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann", "bob"}), Accepted(Train(1), 0)}).ok());
  ASSERT_TRUE(Write({Abandoned(Train(1), "too few reports")}).ok());
  EXPECT_EQ(StateOf(Train(1), 0), "abandoned: too few reports");
  EXPECT_EQ(StateOf(Train(1), 1), "abandoned: too few reports");
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 0 wasted 100 of 1, 0 unavailable"));
  EXPECT_THAT(*store().LoadRounds("job-1"), IsEmpty());
  EXPECT_THAT(LogOf("job-1"),
              ElementsAre("assigned job-1/r1/a1", "accepted job-1/r1/a1", "abandoned job-1/r1/a1"));
}

TEST_P(StoreConformance, AttemptsOfARoundAreSettledApart) {
  ASSERT_TRUE(Write({Assigned(Train(1, 1), {"ann"}), Accepted(Train(1, 1), 0),
                     Abandoned(Train(1, 1), "error"), Assigned(Train(1, 2), {"ann"}),
                     Accepted(Train(1, 2), 0), Committed(Train(1, 2))})
                  .ok());
  EXPECT_EQ(StateOf(Train(1, 1), 0), "abandoned: error");
  EXPECT_EQ(StateOf(Train(1, 2), 0), "committed");
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 100 wasted 100 of 2, 0 unavailable"));
}

// ---- reports that do not count

TEST_P(StoreConformance, ARefusedReportIsWastedAtOnce) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann", "bob"}),
                     Refused(Train(1), 0, "failed: no memory", {{MakeSample(7)}}),
                     Refused(Train(1), 1, "failed: gone", std::nullopt)})
                  .ok());
  EXPECT_EQ(StateOf(Train(1), 0), "refused: failed: no memory");
  EXPECT_EQ(StateOf(Train(1), 1), "refused: failed: gone");
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 0 wasted 7 of 1, 0 unavailable"));
}

TEST_P(StoreConformance, ALateReportIsBookedWastedAndChangesNothingElse) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann", "bob"}), Accepted(Train(1), 0), Committed(Train(1)),
                     Began(Train(2))})
                  .ok());
  ASSERT_TRUE(Write({Refused(Train(1), 1, "late: again", {{MakeSample(9)}})}).ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 100 wasted 9 of 2, 0 unavailable"));
  EXPECT_EQ(StateOf(Train(1), 1), "refused: late: the round went on without it");
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/r2/a1"));

  ASSERT_TRUE(Write({Assigned(Train(2), {"ann"}), Abandoned(Train(2), "error"),
                     Refused(Train(2), 0, "late", {{MakeSample(5)}})})
                  .ok());
  EXPECT_EQ(StateOf(Train(2), 0), "abandoned: error");
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 100 wasted 14 of 3, 0 unavailable"));
}

TEST_P(StoreConformance, AReportAcceptedForAClosedAttemptIsWasted) {
  ASSERT_TRUE(
      Write({Assigned(Train(1), {"ann"}), Abandoned(Train(1), "error"), Accepted(Train(1), 0)})
          .ok());
  EXPECT_EQ(StateOf(Train(1), 0), "abandoned: error");
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 0 wasted 100 of 1, 0 unavailable"));
  EXPECT_THAT(*store().LoadHistory("job-1"), IsEmpty());
}

TEST_P(StoreConformance, ARepeatedReportCountsOnce) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}), Accepted(Train(1), 0), Accepted(Train(1), 0),
                     Refused(Train(1), 0, "duplicate", {{MakeSample(100)}})})
                  .ok());
  ASSERT_TRUE(Write({Committed(Train(1))}).ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 100 wasted 0 of 1, 0 unavailable"));
  // Sending it again cost something; nothing of the first is booked twice.
  ASSERT_TRUE(Write({Refused(Train(1), 0, "duplicate", {{MakeSample(130)}})}).ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 100 wasted 30 of 2, 0 unavailable"));
  EXPECT_EQ(StateOf(Train(1), 0), "committed");
  EXPECT_EQ((*store().LoadHistory("job-1"))[0].participations, 1u);
}

}  // namespace
}  // namespace fedwatt
