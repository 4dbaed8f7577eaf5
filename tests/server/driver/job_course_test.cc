#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

FakeWork EvaluationWith(const FakeClient& client, const Assignment& assignment, uint64_t correct) {
  FakeWork work = client.DefaultWork(assignment);
  work.report.metrics.after->correct = correct;
  return work;
}

TEST(JobCourse, TrainsToTheEndWithEveryClientInEveryRound) {
  TestWorld world;
  world.StartCoordinator();
  const auto clients = world.AddClients(4);
  const JobView submitted = world.Submit(world.Spec(4));
  EXPECT_EQ(submitted.id, "job-1");
  EXPECT_EQ(submitted.state, JobState::kRunning);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
  EXPECT_EQ(job.stop_reason, "rounds");
  ASSERT_EQ(job.rounds.size(), 3u);
  for (const RoundSummary& round : job.rounds) {
    EXPECT_EQ(round.phase, "committed");
    EXPECT_EQ(round.reported, 4u);
    EXPECT_EQ(round.train_after.examples, 400u);
    EXPECT_EQ(round.train_after.accuracy, 0.5);
    ASSERT_EQ(round.energy.size(), 1u);
    EXPECT_EQ(round.energy[0].useful_uj, 4000);
  }
  EXPECT_EQ(job.last.version, 3u);
  EXPECT_EQ(job.best.version, 3u) << "without evaluations the last model is the best";
  for (FakeClient* client : clients) {
    EXPECT_EQ(client->trainings.size(), 3u);
    for (const auto& [id, times] : client->trainings) EXPECT_EQ(times, 1) << id;
  }
}

TEST(JobCourse, ASmallModelTakesTwoCallsPerClientAndRound) {
  TestWorld world;
  world.StartCoordinator();
  FakeClient* client = world.AddClients(1)[0];
  world.Submit(world.Spec(1));
  world.RunToEnd("job-1");
  ASSERT_EQ(client->assignments.size(), 3u);
  for (const Assignment& assignment : client->assignments) {
    EXPECT_EQ(assignment.model.inline_data.size(), 64u);
    EXPECT_FALSE(assignment.bundle.inline_data.empty());
    EXPECT_EQ(assignment.max_upload_bytes, 64u);
    EXPECT_EQ(assignment.trainer, "fake");
    EXPECT_EQ(assignment.cohort.size(), 2u);
  }
  EXPECT_EQ(client->replies.size(), 3u);
  EXPECT_TRUE(client->rejections.empty());
}

// All are answered at once: what their copies take together has a bound.
TEST(JobCourse, WhatFewClientsGetInlineManyFetch) {
  for (const int count : {167, 168}) {  // times 200,000 bytes: below and above 32 MiB
    TestWorld world;
    world.StartCoordinator();
    const Digest bundle = world.AddBundle(50'000);
    ASSERT_TRUE(
        world.coordinator().SubmitJob(world.Spec(static_cast<uint32_t>(count)), bundle, "").ok());
    const std::vector<FakeClient*> clients = world.AddClients(count);
    for (FakeClient* client : clients) {
      client->train = [](const Assignment&) { return std::nullopt; };
    }
    world.RunFor(1000);
    for (FakeClient* client : clients) {
      ASSERT_EQ(client->assignments.size(), 1u);
      const Assignment& assignment = client->assignments[0];
      EXPECT_EQ(assignment.model.inline_data.empty(), count == 168);
      EXPECT_EQ(assignment.max_inline_bytes < 200'000, count == 168) << "nor may updates";
      EXPECT_FALSE(assignment.bundle.inline_data.empty()) << "small enough for all of them";
      const auto blob = world.coordinator().OpenBlob(client->principal(), assignment.model.sha256);
      EXPECT_TRUE(blob.ok()) << blob.status();
    }
  }
}

TEST(JobCourse, ALargeModelIsFetchedByHashAndOnlyByItsClients) {
  TestWorld world;
  world.StartCoordinator();
  const Digest bundle = world.AddBundle(100'000);
  ASSERT_TRUE(world.coordinator().SubmitJob(world.Spec(1), bundle, "").ok());
  FakeClient* client = world.AddClients(1)[0];
  client->train = [](const Assignment&) { return std::nullopt; };
  world.RunFor(1000);
  ASSERT_EQ(client->assignments.size(), 1u);
  const Resource& model = client->assignments[0].model;
  EXPECT_TRUE(model.inline_data.empty());
  const auto blob = world.coordinator().OpenBlob(client->principal(), model.sha256);
  ASSERT_TRUE(blob.ok()) << blob.status();
  EXPECT_EQ((*blob)->bytes().size(), 400'000u);
  Principal stranger = client->principal();
  stranger.subject = "someone-else";
  const auto refused = world.coordinator().OpenBlob(stranger, model.sha256);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr(absl::StrCat("no assignment of yours in flight names blob ",
                                     DigestHex(model.sha256))));
}

TEST(JobCourse, OverSelectionGoesOnWithTheGoalAndBooksTheRestAsWasted) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(2);
  spec.rounds = 1;
  spec.round.over_selection = 1.5;
  const auto clients = world.AddClients(3);
  clients[2]->train_ms = 5000;
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  ASSERT_EQ(job.rounds.size(), 1u);
  EXPECT_EQ(job.rounds[0].assigned, 3u);
  EXPECT_EQ(job.rounds[0].reported, 2u);
  world.RunFor(10'000);
  ASSERT_EQ(clients[2]->replies.size(), 1u);
  EXPECT_FALSE(clients[2]->replies[0].accepted);
  EXPECT_EQ(clients[2]->replies[0].outcome, Outcome::kRefused);
  EXPECT_THAT(clients[2]->replies[0].reason, HasSubstr("late: "));
  const auto energy = world.coordinator().GetJob("job-1")->energy;
  ASSERT_EQ(energy.size(), 1u);
  EXPECT_EQ(energy[0].useful_uj, 2000);
  EXPECT_EQ(energy[0].wasted_uj, 1000);
}

TEST(JobCourse, ALateReportIsBookedAsWastedAlsoAfterARestart) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(2);
  spec.rounds = 1;
  spec.round.over_selection = 1.5;
  const auto clients = world.AddClients(3);
  clients[2]->train_ms = 50'000;
  world.Submit(spec);
  world.RunToEnd("job-1");
  world.StartCoordinator();
  clients[2]->chunk_bytes = 16;
  Report report = clients[2]->DefaultWork(clients[2]->assignments.at(0)).report;
  report.update.size = 64;
  const auto start = world.coordinator().StartUpload(clients[2]->principal(), report, 0);
  ASSERT_TRUE(start.ok()) << start.status();
  ASSERT_TRUE(start->refused.has_value());
  EXPECT_EQ(start->refused->outcome, Outcome::kRefused);
  EXPECT_THAT(start->refused->reason, HasSubstr("late: the round went on without it"));
  world.RunFor(100);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->energy.at(0).wasted_uj, 1000);
  // And once only.
  ASSERT_TRUE(world.coordinator().StartUpload(clients[2]->principal(), report, 0).ok());
  world.RunFor(100);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->energy.at(0).wasted_uj, 1000);
}

TEST(JobCourse, TheDeadlineGoesOnWithMinReports) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(3);
  spec.rounds = 1;
  spec.round.min_reports = 2;
  const auto clients = world.AddClients(3);
  clients[1]->train = [](const Assignment&) { return std::nullopt; };
  world.Submit(spec);
  world.RunFor(110'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 0u);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.rounds.at(0).reported, 2u);
}

TEST(JobCourse, TooFewReportsAbandonTheAttemptAndTheNextTrains) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(2);
  spec.rounds = 1;
  const auto clients = world.AddClients(2);
  clients[0]->train = [&](const Assignment& assignment) -> std::optional<FakeWork> {
    FakeWork work = clients[0]->DefaultWork(assignment);
    if (assignment.key.attempt > 1) return work;
    work.update.clear();
    work.report.status = ReportStatus::kFailed;
    work.report.error = "the battery is low";
    return work;
  };
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.rounds.at(0).key.attempt, 2u);
  EXPECT_TRUE(world.Logged("1 of 2 clients failed; min_reports (2) is out of reach"));
  ASSERT_EQ(
      clients[0]->outcomes.count("job-1/r1/a1/0") + clients[0]->outcomes.count("job-1/r1/a1/1"),
      1u);
  EXPECT_EQ(job.energy.at(0).useful_uj, 2000);
}

TEST(JobCourse, RoundsBeginAnIntervalApartAlsoAfterARestart) {
  TestWorld world;
  world.StartCoordinator();
  world.AddClients(2);
  JobSpec spec = world.Spec(2);
  spec.round.interval_s = 1200;
  world.Submit(spec);
  world.RunFor(1'000'000);
  JobView job = *world.coordinator().GetJob("job-1");
  EXPECT_EQ(job.rounds_done, 1u);
  EXPECT_EQ(job.current.phase, "waiting");
  EXPECT_THAT(job.current.reason, HasSubstr("round 2 begins round.interval_s = 1200 after"));
  world.KillCoordinator();
  world.StartCoordinator();
  world.RunFor(190'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 1u);
  job = world.RunToEnd("job-1");
  ASSERT_EQ(job.rounds.size(), 3u);
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_GE(job.rounds[i].started_ms, job.rounds[i - 1].started_ms + 1'200'000);
    EXPECT_LT(job.rounds[i].started_ms, job.rounds[i - 1].started_ms + 1'220'000);
  }
  EXPECT_LT(job.rounds[2].ended_ms, job.rounds[2].started_ms + 60'000) << "nothing comes after";
}

TEST(JobCourse, GivesUpAfterMaxAttempts) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.round.max_attempts = 2;
  spec.round.selection_timeout_s = 5;
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(job.stop_reason, "failed");
  EXPECT_EQ(job.reason,
            "round 1 was abandoned 2 times, the limit (round.max_attempts); at last: selection "
            "timed out with 0 eligible clients waiting; min_reports is 1");
}

TEST(JobCourse, TwoJobsShareTheFleetAndTheHigherPriorityIsServedFirst) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec low = world.Spec(2);
  low.name = "low";
  JobSpec high = world.Spec(2);
  high.name = "high";
  high.priority = 1;
  world.Submit(low);
  world.Submit(high);
  const auto clients = world.AddClients(2);
  for (FakeClient* client : clients) client->train_ms = 1000;
  world.RunToEnd("high-1");
  EXPECT_EQ(world.coordinator().GetJob("low-1")->rounds_done, 0u);
  EXPECT_EQ(world.RunToEnd("low-1").state, JobState::kCompleted);
}

TEST(JobCourse, EqualPrioritiesTakeTurns) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec one = world.Spec(2);
  one.name = "one";
  JobSpec two = world.Spec(2);
  two.name = "two";
  world.Submit(one);
  world.Submit(two);
  const auto clients = world.AddClients(2);
  for (FakeClient* client : clients) client->train_ms = 1000;
  world.RunToEnd("one-1");
  EXPECT_GE(world.coordinator().GetJob("two-1")->rounds_done, 2u);
  EXPECT_EQ(world.RunToEnd("two-1").state, JobState::kCompleted);
}

TEST(JobCourse, MinSeparationKeepsAClientOutOfTheNextRounds) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.rounds = 4;
  spec.eligibility.min_separation_rounds = 1;
  world.Submit(spec);
  const auto clients = world.AddClients(2);
  EXPECT_EQ(world.RunToEnd("job-1").state, JobState::kCompleted);
  EXPECT_EQ(clients[0]->trainings.size(), 2u);
  EXPECT_EQ(clients[1]->trainings.size(), 2u);
}

TEST(JobCourse, AnEvaluatorJudgesEveryKthRoundAndTheLast) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(2);
  spec.rounds = 5;
  spec.evaluation.every = 2;
  spec.evaluation.max_examples = 77;
  world.AddClients(2);
  FakeClient* judge = world.AddClient({.name = "judge", .role = Role::kEvaluator});
  judge->train = [&](const Assignment& assignment) {
    EXPECT_EQ(assignment.kind, AssignmentKind::kEvaluate);
    EXPECT_EQ(assignment.plan.max_examples, 77u);
    EXPECT_EQ(assignment.max_upload_bytes, 0u);
    return EvaluationWith(*judge, assignment, assignment.key.round == 4 ? 90 : 10);
  };
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  std::vector<bool> evaluated;
  for (const RoundSummary& round : job.rounds) evaluated.push_back(round.evaluation.has_value());
  EXPECT_THAT(evaluated, ElementsAre(false, true, false, true, true));
  EXPECT_EQ(job.rounds[3].evaluation->accuracy, 0.9);
  EXPECT_EQ(job.best.version, 4u);
  EXPECT_EQ(job.best_metric, 0.9);
  EXPECT_EQ(job.last.version, 5u);
}

TEST(JobCourse, ClientsEvaluateTogether) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(3);
  spec.rounds = 1;
  spec.evaluation.every = 1;
  spec.evaluation.where = "clients";
  spec.evaluation.clients = 3;
  const auto clients = world.AddClients(3);
  for (FakeClient* client : clients) {
    client->train = [client](const Assignment& assignment) -> std::optional<FakeWork> {
      if (assignment.kind == AssignmentKind::kTrain) return client->DefaultWork(assignment);
      return EvaluationWith(*client, assignment, client->options().name == "device-1" ? 100 : 70);
    };
  }
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  ASSERT_TRUE(job.rounds.at(0).evaluation.has_value());
  EXPECT_EQ(job.rounds[0].evaluation->examples, 300u);
  EXPECT_DOUBLE_EQ(*job.rounds[0].evaluation->accuracy, 0.8);
}

TEST(JobCourse, GoesOnWithANoteWhenNobodyEvaluates) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.rounds = 2;
  spec.evaluation.every = 1;
  spec.evaluation.timeout_s = 30;
  world.AddClients(1);
  world.Submit(spec);
  world.RunFor(29'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 1u);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.rounds.at(0).reason,
            "not evaluated: selection timed out with 0 eligible clients waiting; min_reports is 1");
}

TEST(JobCourse, StopsAtTheTarget) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.rounds = 50;
  spec.evaluation.every = 1;
  spec.stop.target = 0.7;
  world.AddClients(1);
  FakeClient* judge = world.AddClient({.name = "judge", .role = Role::kEvaluator});
  judge->train = [&](const Assignment& assignment) {
    return EvaluationWith(*judge, assignment, assignment.key.round * 20);
  };
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.stop_reason, "target");
  EXPECT_EQ(job.rounds.size(), 4u);
}

TEST(JobCourse, StopsWhenPatienceIsOver) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.rounds = 50;
  spec.evaluation.every = 1;
  spec.stop.patience = 3;
  world.AddClients(1);
  FakeClient* judge = world.AddClient({.name = "judge", .role = Role::kEvaluator});
  judge->train = [&](const Assignment& assignment) {
    return EvaluationWith(*judge, assignment, assignment.key.round == 2 ? 60 : 50);
  };
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.stop_reason, "patience");
  EXPECT_EQ(job.rounds.size(), 5u);
  EXPECT_EQ(job.best.version, 2u);
}

TEST(JobCourse, EndsWithinItsWallTimeAndKeepsTheLastCommit) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.rounds = 1000;
  spec.stop.max_wall_s = 25;
  FakeClient* client = world.AddClients(1)[0];
  client->train_ms = 10'000;
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.stop_reason, "time");
  EXPECT_EQ(job.rounds_done, 2u);
  EXPECT_LE(job.ended_ms - job.created_ms, 25'500);
}

TEST(JobCourse, AStoppedJobKeepsItsStateAndResumesWithANewAttempt) {
  TestWorld world;
  world.StartCoordinator();
  const auto clients = world.AddClients(2);
  for (FakeClient* client : clients) client->train_ms = 1000;
  world.Submit(world.Spec(2));
  world.RunFor(1500);
  const auto stopped = world.coordinator().StopJob("job", "lunch");
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->state, JobState::kStopped);
  EXPECT_EQ(stopped->reason, "lunch");
  world.RunFor(10'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 1u);
  world.StartCoordinator();
  world.RunFor(10'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->state, JobState::kStopped);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 1u);
  ASSERT_TRUE(world.coordinator().ResumeJob("job-1").ok());
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.rounds.at(1).key.attempt, 2u);
  const auto again = world.coordinator().ResumeJob("job-1");
  EXPECT_EQ(again.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(again.status().message()),
            "job job-1 is completed; only a stopped job can become running");
}

TEST(JobCourse, WatchersSeeEveryRoundOnceAlsoWhenTheyComeBack) {
  TestWorld world;
  world.StartCoordinator();
  world.AddClients(1)[0]->train_ms = 1000;
  JobSpec spec = world.Spec(1);
  spec.rounds = 4;
  world.Submit(spec);
  std::vector<uint64_t> rounds;
  uint64_t sequence = 0;
  bool ended = false;
  const auto on_update = [&](const JobUpdate& update, bool last) {
    EXPECT_GT(update.sequence, sequence);
    sequence = update.sequence;
    if (update.committed) rounds.push_back(update.committed->key.round);
    ended = last;
  };
  const auto id = world.coordinator().WatchJob("job-1", 0, on_update);
  ASSERT_TRUE(id.ok());
  world.RunFor(2500);
  EXPECT_THAT(rounds, ElementsAre(1, 2));
  world.coordinator().Unwatch(*id);
  world.RunToEnd("job-1");
  ASSERT_TRUE(world.coordinator().WatchJob("job-1", sequence, on_update).ok());
  world.RunFor(1000);
  EXPECT_THAT(rounds, ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace fedwatt::testing
