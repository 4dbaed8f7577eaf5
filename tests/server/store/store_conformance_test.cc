// What every Store does, by the Store interface alone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "server/store/memory_store.h"
#include "server/store/sqlite_store.h"
#include "tests/common/base/temp_dir.h"
#include "tests/server/store/records.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kDayMs = 24 * 3600 * 1000;

// A store of one kind, and what it needs.
class Harness {
 public:
  virtual ~Harness() = default;
  virtual Store& store() = 0;
  virtual absl::Status Write(std::vector<StoreWrite> batch) = 0;
  virtual absl::Status Prune(const RetentionDays& days, int64_t now_ms) = 0;
};

class MemoryHarness final : public Harness {
 public:
  Store& store() override { return store_; }
  absl::Status Write(std::vector<StoreWrite> batch) override {
    absl::Status result = absl::UnknownError("done has not run");
    store_.Write(std::move(batch), [&result](absl::Status status) { result = std::move(status); });
    executor_.AdvanceMs(10);
    return result;
  }
  absl::Status Prune(const RetentionDays& days, int64_t now_ms) override {
    return store_.Prune(days, now_ms);
  }

 private:
  FakeClock clock_;
  ManualExecutor executor_{&clock_};
  MemoryStore store_{&executor_, {.sync_delay_ms = 10}};
};

class SqliteHarness final : public Harness {
 public:
  SqliteHarness() : store_(*SqliteStore::Open({.dir = dir_.path()})) {}
  Store& store() override { return *store_; }
  absl::Status Write(std::vector<StoreWrite> batch) override {
    std::promise<absl::Status> result;
    store_->Write(std::move(batch),
                  [&result](absl::Status status) { result.set_value(std::move(status)); });
    return result.get_future().get();
  }
  absl::Status Prune(const RetentionDays& days, int64_t now_ms) override {
    return store_->Prune(days, now_ms);
  }

 private:
  TempDir dir_;
  std::unique_ptr<SqliteStore> store_;
};

using MakeHarness = std::unique_ptr<Harness> (*)();

class StoreConformance : public testing::TestWithParam<std::pair<const char*, MakeHarness>> {
 protected:
  void SetUp() override { ASSERT_TRUE(Write({PutJob{MakeJob()}}).ok()); }

  absl::Status Write(std::vector<StoreWrite> batch) { return harness_->Write(std::move(batch)); }
  Store& store() { return harness_->store(); }

  // "assigned job-1/r1/a1", ...
  std::vector<std::string> LogOf(const std::string& job) {
    static constexpr const char* kKinds[] = {"began",   "assigned",  "accepted",
                                             "refused", "abandoned", "committed"};
    std::vector<std::string> lines;
    const std::vector<LogRecord> log = *store().LoadLog(job);
    for (const LogRecord& record : log) {
      const RoundKey key = std::visit([](const auto& kind) { return kind.key; }, record);
      lines.push_back(absl::StrCat(kKinds[record.index()], " ", key.ToString()));
    }
    return lines;
  }

  // "reported", "refused: late", ...
  std::string StateOf(const RoundKey& key, uint32_t index) {
    static constexpr const char* kStates[] = {"?",         "assigned", "reported",
                                              "committed", "refused",  "abandoned"};
    const auto found = store().FindAssignment(MakeAssignmentId(key, index));
    if (!found.ok()) return found.status().ToString();
    if (!found->has_value()) return "unknown";
    const AssignmentRecord& assignment = **found;
    return absl::StrCat(kStates[static_cast<int>(assignment.state)],
                        assignment.reason.empty() ? "" : ": ", assignment.reason);
  }

  // "rapl/measured/package useful 100 wasted 0 of 1, 0 unavailable", ...
  std::vector<std::string> EnergyOf(const std::string& job) {
    std::vector<std::string> lines;
    const std::vector<EnergyTotal> totals = *store().EnergyTotals(job);
    for (const EnergyTotal& total : totals) {
      lines.push_back(absl::StrCat(total.source, "/", EnergyQualityName(total.quality), "/",
                                   EnergyScopeName(total.scope), " useful ", total.useful_uj,
                                   " wasted ", total.wasted_uj, " of ", total.samples, ", ",
                                   total.unavailable, " unavailable"));
    }
    return lines;
  }

  std::unique_ptr<Harness> harness_ = GetParam().second();
};

INSTANTIATE_TEST_SUITE_P(
    All, StoreConformance,
    testing::Values(std::pair<const char*, MakeHarness>(
                        "memory", [] { return std::unique_ptr<Harness>(new MemoryHarness); }),
                    std::pair<const char*, MakeHarness>(
                        "sqlite", [] { return std::unique_ptr<Harness>(new SqliteHarness); })),
    [](const auto& info) { return std::string(info.param.first); });

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

TEST_P(StoreConformance, FindsNothingUnderAnIdThatIsNone) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"})}).ok());
  for (const char* id : {"", "/", "job-1", "job-1/r1/a1", "job-1/r1/a1/", "job-1/r01/a1/0",
                         "job-1/x1/a1/0", "job-1/r1/a1/-1", "job-1/r1/a1/99999999999999"}) {
    EXPECT_FALSE(store().FindAssignment(id)->has_value()) << id;
  }
}

TEST_P(StoreConformance, LogGivesWhatAReplayNeeds) {
  ASSERT_TRUE(Write({Began(Train(1)), Assigned(Train(1), {"ann", "bob"})}).ok());
  ASSERT_TRUE(Write({Accepted(Train(1), 1)}).ok());
  const auto log = *store().LoadLog("job-1");
  ASSERT_THAT(log, SizeIs(3));
  EXPECT_EQ(std::get<AttemptBegan>(log[0]).limits.assign, 3u);
  const auto& assigned = std::get<ClientsAssigned>(log[1]);
  EXPECT_THAT(assigned.clients, ElementsAre("ann", "bob"));
  EXPECT_EQ(assigned.selector_state, std::string("state\0\xff", 7));
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
                     Refused(Train(1), 0, "duplicate", {{MakeSample(999)}})})
                  .ok());
  ASSERT_TRUE(Write({Committed(Train(1))}).ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 100 wasted 0 of 1, 0 unavailable"));
  EXPECT_EQ(StateOf(Train(1), 0), "committed");
  EXPECT_EQ((*store().LoadHistory("job-1"))[0].participations, 1u);
}

// ---- energy

TEST_P(StoreConformance, TotalsKeepSourceQualityAndScopeApartAndCountGaps) {
  EnergySample estimated = MakeSample(3, "cpu_time");
  estimated.quality = EnergyQuality::kEstimated;
  estimated.scope = EnergyScope::kProcess;
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}),
                     Accepted(Train(1), 0,
                              {MakeSample(10), MakeSample(4, "rapl", Phase::kUpload), estimated,
                               MakeSample(std::nullopt, "battery")}),
                     Committed(Train(1))})
                  .ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("battery/unavailable/package useful 0 wasted 0 of 1, 1 unavailable",
                          "cpu_time/estimated/process useful 3 wasted 0 of 1, 0 unavailable",
                          "rapl/measured/package useful 14 wasted 0 of 2, 0 unavailable"));
}

TEST_P(StoreConformance, AnAbsurdClaimIsBookedAsAGap) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}),
                     Accepted(Train(1), 0, {MakeSample(-5), MakeSample(int64_t{1} << 62, "hwmon")}),
                     Committed(Train(1))})
                  .ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("hwmon/unavailable/package useful 0 wasted 0 of 1, 1 unavailable",
                          "rapl/unavailable/package useful 0 wasted 0 of 1, 1 unavailable"));
}

TEST_P(StoreConformance, OneAssignmentCannotFillTheStore) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"})}).ok());
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<EnergySample> samples;
    for (size_t i = 0; i < bounds::kMaxEnergySamples; ++i) {
      samples.push_back(MakeSample(1, absl::StrCat("meter-", repeat, "-", i)));
    }
    ASSERT_TRUE(Write({Refused(Train(1), 0, "failed", samples)}).ok());
  }
  EXPECT_THAT(*store().EnergyTotals("job-1"), SizeIs(bounds::kMaxEnergySamples));
}

// ---- evaluations

TEST_P(StoreConformance, AnEvaluationIsMergedIntoTheRoundThatItEvaluates) {
  ASSERT_TRUE(Write({Committed(Train(1)), Committed(Train(2)), Committed(Evaluate(1))}).ok());
  const auto rounds = *store().LoadRounds("job-1");
  ASSERT_THAT(rounds, SizeIs(2));
  ASSERT_TRUE(rounds[0].evaluation.has_value());
  EXPECT_EQ(rounds[0].evaluation->accuracy, 0.875);
  EXPECT_EQ(rounds[0].key, Train(1));
  EXPECT_EQ(rounds[0].bytes_up, 2000u);
  ASSERT_THAT(rounds[0].energy, SizeIs(1));
  EXPECT_EQ(rounds[0].energy[0].useful_uj, 400);
  EXPECT_EQ(rounds[0].seconds_by_phase.at("train"), 8.0);
  EXPECT_FALSE(rounds[1].evaluation.has_value());
  EXPECT_THAT(*store().LoadModels("job-1"), SizeIs(2));
  EXPECT_EQ((*store().LastCommit("job-1"))->key, Train(2));
}

TEST_P(StoreConformance, EvaluationsInFlightOutliveATrainingCommit) {
  ASSERT_TRUE(Write({Committed(Train(1)), Began(Evaluate(1)), Assigned(Evaluate(1), {"eve"}),
                     Began(Train(2)), Assigned(Train(2), {"ann"}), Accepted(Train(2), 0),
                     Committed(Train(2))})
                  .ok());
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/e1/a1", "assigned job-1/e1/a1"));
  ASSERT_TRUE(Write({Accepted(Evaluate(1), 0), Committed(Evaluate(1)), Began(Evaluate(2))}).ok());
  EXPECT_THAT(LogOf("job-1"),
              ElementsAre("began job-1/e1/a1", "assigned job-1/e1/a1", "accepted job-1/e1/a1",
                          "committed job-1/e1/a1", "began job-1/e2/a1"));
  ASSERT_TRUE(Write({Committed(Train(3))}).ok());
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/e2/a1"));
}

TEST_P(StoreConformance, AnEvaluationBetweenAttemptsIsInFlightUntilItIsGivenUp) {
  ASSERT_TRUE(
      Write({Began(Evaluate(1, 1)), Abandoned(Evaluate(1, 1), "gone"), Committed(Train(2))}).ok());
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/e1/a1", "abandoned job-1/e1/a1"));
  ASSERT_TRUE(Write({Began(Evaluate(1, 2)), Abandoned(Evaluate(1, 2), "gone", /*give_up=*/true),
                     Committed(Train(3))})
                  .ok());
  EXPECT_THAT(LogOf("job-1"), IsEmpty());
}

// ---- history

TEST_P(StoreConformance, HistoryCountsTrainingReports) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann", "bob"}), Accepted(Train(1), 0), Committed(Train(1)),
                     Assigned(Train(2), {"ann"}), Accepted(Train(2), 0),
                     Assigned(Evaluate(1), {"bob"}), Accepted(Evaluate(1), 0)})
                  .ok());
  const auto history = *store().LoadHistory("job-1");
  ASSERT_THAT(history, SizeIs(1)) << "bob has not trained";
  EXPECT_EQ(history[0].client, "ann");
  EXPECT_EQ(history[0].participations, 2u);
  EXPECT_EQ(history[0].last_round, 2u);
  ASSERT_TRUE(history[0].last_loss.has_value());
  EXPECT_EQ(history[0].last_loss->loss_sum, 120.5);
  EXPECT_EQ(history[0].last_seconds, 2.5);
}

// ---- forgetting and retention

TEST_P(StoreConformance, AForgottenClientIsGoneAndItsWorkStays) {
  ASSERT_TRUE(
      Write({Assigned(Train(1), {"ann", "bob"}), Accepted(Train(1), 0), Accepted(Train(1), 1),
             Committed(Train(1)), Assigned(Train(2), {"bob", "ann"})})
          .ok());
  ASSERT_TRUE(store().ForgetClient("default", "default", "ann").ok());
  EXPECT_EQ((*store().FindAssignment("job-1/r1/a1/0"))->client, "");
  EXPECT_EQ((*store().FindAssignment("job-1/r1/a1/0"))->state, AssignmentState::kCommitted);
  EXPECT_EQ((*store().FindAssignment("job-1/r1/a1/1"))->client, "bob");
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 200 wasted 0 of 2, 0 unavailable"));
  ASSERT_THAT(*store().LoadHistory("job-1"), SizeIs(1));
  const auto log = *store().LoadLog("job-1");
  ASSERT_THAT(log, SizeIs(1));
  EXPECT_THAT(std::get<ClientsAssigned>(log[0]).clients, ElementsAre("bob", ""));
  ASSERT_TRUE(Write({Accepted(Train(2), 1)}).ok());
  EXPECT_THAT(*store().LoadHistory("job-1"), SizeIs(1)) << "what comes later names nobody";
}

TEST_P(StoreConformance, ForgetsInOnePopulationOnly) {
  JobRecord other = MakeJob("other-1");
  other.spec.population = "watches";
  ASSERT_TRUE(
      Write({PutJob{other}, Assigned(Train(1), {"ann"}), Assigned(Train(1, 1, "other-1"), {"ann"})})
          .ok());
  ASSERT_TRUE(store().ForgetClient("default", "watches", "ann").ok());
  EXPECT_EQ((*store().FindAssignment("job-1/r1/a1/0"))->client, "ann");
  EXPECT_EQ((*store().FindAssignment("other-1/r1/a1/0"))->client, "");
}

TEST_P(StoreConformance, PruningKeepsTotalsAndWorkInFlight) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}), Accepted(Train(1), 0), Committed(Train(1)),
                     Assigned(Train(2), {"bob", "cat"}), Accepted(Train(2), 0)})
                  .ok());
  const RetentionDays days{.energy = 30, .assignments = 30, .history = 30};
  ASSERT_TRUE(harness_->Prune(days, kNowMs + 29 * kDayMs).ok());
  EXPECT_EQ(StateOf(Train(1), 0), "committed");
  EXPECT_THAT(*store().LoadHistory("job-1"), SizeIs(2));

  ASSERT_TRUE(harness_->Prune(days, kNowMs + 31 * kDayMs).ok());
  EXPECT_EQ(StateOf(Train(1), 0), "unknown");
  EXPECT_EQ(StateOf(Train(2), 0), "reported");
  EXPECT_EQ(StateOf(Train(2), 1), "assigned");
  EXPECT_THAT(*store().LoadHistory("job-1"), IsEmpty());
  EXPECT_THAT(*store().LoadRounds("job-1"), SizeIs(1));
  ASSERT_TRUE(Write({Committed(Train(2))}).ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 200 wasted 0 of 2, 0 unavailable"));
}

TEST_P(StoreConformance, ZeroDaysKeepForEver) {
  ASSERT_TRUE(
      Write({Assigned(Train(1), {"ann"}), Accepted(Train(1), 0), Committed(Train(1))}).ok());
  ASSERT_TRUE(
      harness_->Prune({.energy = 0, .assignments = 0, .history = 0}, kNowMs + 100'000 * kDayMs)
          .ok());
  EXPECT_EQ(StateOf(Train(1), 0), "committed");
  EXPECT_THAT(*store().LoadHistory("job-1"), SizeIs(1));
}

}  // namespace
}  // namespace fedwatt
