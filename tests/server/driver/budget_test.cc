// A job's budget holds whatever its clients report, and a restart finds it as it was.

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/driver/job_budget.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kDayMs = 86'400'000;

// Work that costs joules even with a model of 16 parameters.
JobSpec CostlySpec(const TestWorld& world, uint32_t clients) {
  JobSpec spec = world.Spec(clients);
  spec.rounds = 1000;
  spec.plan.local_epochs = 0;
  spec.plan.local_steps = 10'000'000;
  spec.round.min_reports = 1;
  spec.round.max_attempts = 1000;
  spec.round.selection_timeout_s = 5;
  return spec;
}

// What one client of this fleet reserves, in joules: the same for all, none has a history.
double Reserved(uint32_t clients) {
  TestWorld world;
  world.StartCoordinator();
  world.AddClients(static_cast<int>(clients));
  world.Submit(CostlySpec(world, clients));
  world.RunFor(1000);
  const auto entries = *world.disk->LoadReservations("job-1");
  EXPECT_FALSE(entries.empty());
  return entries.empty() ? 0 : static_cast<double>(entries[0].reservation.reserved_uj()) / 1e6;
}

std::optional<FakeWork> Claiming(const FakeClient& client, const Assignment& assignment,
                                 std::optional<int64_t> energy_uj) {
  FakeWork work = client.DefaultWork(assignment);
  work.report.energy.resize(1);
  EnergySample& sample = work.report.energy[0];
  sample.source = "battery";
  sample.phase = Phase::kTrain;
  sample.coverage = 1;
  sample.scope = EnergyScope::kDevice;
  sample.quality = energy_uj ? EnergyQuality::kMeasured : EnergyQuality::kUnavailable;
  sample.energy_uj = energy_uj;
  return work;
}

// Adds up what the disk says, as an auditor would.
struct Audit {
  int64_t booked_uj = 0;
  int64_t reserved_uj = 0;
  size_t assignments = 0;
  std::map<BookedBy, int> by;
  std::map<std::string, int64_t> client_uj;
};

Audit AuditOf(Store& disk) {
  Audit audit;
  const std::vector<BudgetEntry> entries = *disk.LoadReservations("job-1");
  for (const BudgetEntry& entry : entries) {
    ++audit.assignments;
    const int64_t uj = entry.booked ? entry.booked->uj : entry.reservation.reserved_uj();
    (entry.booked ? audit.booked_uj : audit.reserved_uj) += uj;
    audit.client_uj[entry.reservation.client] += uj;
    if (entry.booked) ++audit.by[entry.booked->by];
  }
  return audit;
}

// The job runs to its end; at every step the disk's sums stay within the limit.
JobView RunWithin(TestWorld& world, double limit_j, int64_t limit_ms = 3'600'000) {
  const auto limit_uj = static_cast<int64_t>(limit_j * 1e6);
  for (int64_t at_ms = 0; at_ms < limit_ms; at_ms += 1000) {
    world.RunFor(1000);
    const Audit audit = AuditOf(*world.disk);
    EXPECT_LE(audit.booked_uj + audit.reserved_uj, limit_uj);
    const auto job = world.coordinator().GetJob("job-1");
    if (!job.ok() || job->state != JobState::kRunning || ::testing::Test::HasFailure()) break;
  }
  return *world.coordinator().GetJob("job-1");
}

TEST(Budget, EndsTheJobWithinItAndSaysWhy) {
  const double each = Reserved(4);
  TestWorld world;
  world.StartCoordinator();
  world.AddClients(4);
  JobSpec spec = CostlySpec(world, 4);
  spec.budget.joules = each * 10;
  world.Submit(spec);
  const JobView job = RunWithin(world, spec.budget.joules);
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.stop_reason, "budget");
  EXPECT_THAT(job.reason, HasSubstr("budget.joules ="));
  EXPECT_GT(job.rounds_done, 0u);
  const Audit audit = AuditOf(*world.disk);
  EXPECT_EQ(audit.booked_uj, job.budget.booked_uj);
  EXPECT_EQ(job.budget.reserved_uj, 0);
  EXPECT_EQ(job.rounds.back().booked_uj, job.budget.booked_uj);
  EXPECT_GT(job.budget.booked_ug, 0) << "grams follow, by the table";
  EXPECT_EQ(job.budget.carbon, "average lifecycle CO2e location");
}

TEST(Budget, HoldsWithClientsThatUnderReport) {
  const double each = Reserved(4);
  TestWorld world;
  world.StartCoordinator();
  for (FakeClient* client : world.AddClients(4)) {
    client->train = [client](const Assignment& a) { return Claiming(*client, a, 1); };
  }
  JobSpec spec = CostlySpec(world, 4);
  spec.budget.joules = each * 10;
  world.Submit(spec);
  const JobView job = RunWithin(world, spec.budget.joules);
  EXPECT_EQ(job.stop_reason, "budget") << "claims of nothing do not train for ever";
  const Audit audit = AuditOf(*world.disk);
  EXPECT_EQ(audit.by.at(BookedBy::kFloor), static_cast<int>(audit.assignments));
}

TEST(Budget, HoldsWithClientsThatNeverReport) {
  const double each = Reserved(4);
  TestWorld world;
  world.StartCoordinator();
  const auto clients = world.AddClients(4);
  for (int i = 0; i < 2; ++i) {
    clients[i]->train = [](const Assignment&) { return std::nullopt; };
  }
  JobSpec spec = CostlySpec(world, 4);
  spec.budget.joules = each * 5;
  world.Submit(spec);
  const JobView job = RunWithin(world, spec.budget.joules, 12'000'000);
  EXPECT_EQ(job.stop_reason, "budget");
  const Audit audit = AuditOf(*world.disk);
  EXPECT_GT(audit.by.at(BookedBy::kSilence), 0);
  EXPECT_GT(job.budget.estimated_uj, 0);
}

TEST(Budget, HoldsWithClientsThatReportLate) {
  const double each = Reserved(4);
  TestWorld world;
  world.StartCoordinator();
  const auto clients = world.AddClients(4);
  for (int i = 0; i < 2; ++i) {
    FakeClient* const client = clients[i];
    client->train_ms = 200'000;  // the deadline is at 120 s
    client->train = [client](const Assignment& a) { return Claiming(*client, a, 1); };
  }
  JobSpec spec = CostlySpec(world, 4);
  spec.budget.joules = each * 5;
  world.Submit(spec);
  const JobView job = RunWithin(world, spec.budget.joules, 12'000'000);
  EXPECT_EQ(job.stop_reason, "budget");
  world.RunFor(600'000);
  const Audit audit = AuditOf(*world.disk);
  EXPECT_GT(audit.by.at(BookedBy::kFloor), 0) << "late claims took the place of estimates";
  EXPECT_EQ(world.coordinator().GetJob("job-1")->budget.booked_uj, audit.booked_uj);
}

TEST(Budget, AnAbsurdClaimIsBookedAtTheCeilingAndEndsTheAssigning) {
  const double each = Reserved(2);
  TestWorld world;
  world.StartCoordinator();
  for (FakeClient* client : world.AddClients(2)) {
    client->train = [client](const Assignment& a) {
      return Claiming(*client, a, 900'000'000'000'000);
    };
  }
  JobSpec spec = CostlySpec(world, 2);
  spec.budget.joules = each * 6;
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.stop_reason, "budget");
  const Audit audit = AuditOf(*world.disk);
  EXPECT_EQ(audit.by.at(BookedBy::kCeiling), static_cast<int>(audit.assignments));
  EXPECT_EQ(audit.assignments, 2u) << "running work finished, nothing further was assigned";
}

TEST(Budget, AClientWithoutAMeterIsBookedByThePrior) {
  TestWorld world;
  world.StartCoordinator();
  FakeClient* const client = world.AddClients(1)[0];
  client->train = [client](const Assignment& a) { return Claiming(*client, a, std::nullopt); };
  JobSpec spec = CostlySpec(world, 1);
  spec.rounds = 2;
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.stop_reason, "rounds");
  EXPECT_EQ(AuditOf(*world.disk).by.at(BookedBy::kPrior), 2);
  EXPECT_EQ(job.budget.estimated_uj, job.budget.booked_uj);
}

TEST(Budget, ARoundHasFewerClientsWhenItsBudgetHasRoomForFewer) {
  const double each = Reserved(4);
  TestWorld world;
  world.StartCoordinator();
  world.AddClients(4);
  JobSpec spec = CostlySpec(world, 4);
  spec.rounds = 2;
  spec.round.min_reports = 2;
  spec.budget.joules_per_round = each * 2.5;
  world.Submit(spec);
  const JobView job = world.RunToEnd("job-1");
  ASSERT_EQ(job.rounds.size(), 2u);
  EXPECT_EQ(job.rounds[0].assigned, 2u);
  EXPECT_EQ(job.rounds[0].reported, 2u) << "the round ends when all who are in it have reported";
}

TEST(Budget, AClientThatHasSpentItsShareIsLeftOut) {
  const double each = Reserved(2);
  TestWorld world;
  world.StartCoordinator();
  world.AddClients(6);
  JobSpec spec = CostlySpec(world, 2);
  spec.rounds = 4;
  spec.budget.joules_per_client = each * 1.9;
  world.Submit(spec);
  world.RunToEnd("job-1", 600'000);
  const Audit audit = AuditOf(*world.disk);
  for (const auto& [client, uj] : audit.client_uj) {
    EXPECT_LE(uj, static_cast<int64_t>(each * 1.9e6)) << client;
  }
}

TEST(Budget, ADaysBudgetWaitsForTheNextDay) {
  const double each = Reserved(2);
  TestWorld world;
  world.StartCoordinator();
  world.AddClients(2);
  JobSpec spec = CostlySpec(world, 2);
  spec.round.min_reports = 2;
  spec.budget.joules_per_day = each * 2;
  world.Submit(spec);
  world.RunFor(600'000);
  JobView job = *world.coordinator().GetJob("job-1");
  EXPECT_GT(job.rounds_done, 0u);
  EXPECT_EQ(job.current.phase, "waiting");
  EXPECT_THAT(job.current.reason, HasSubstr("budget.joules_per_day"));
  const uint64_t first_day = job.rounds_done;
  world.RunFor(kDayMs);
  job = *world.coordinator().GetJob("job-1");
  EXPECT_GT(job.rounds_done, first_day);
}

TEST(Budget, BelowOneRoundIsRefusedAtOnceWithTheFigures) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = CostlySpec(world, 4);
  spec.round.min_reports = 4;
  spec.budget.joules = 1e-6;
  const auto job = world.coordinator().SubmitJob(spec, world.AddBundle(), "");
  EXPECT_TRUE(absl::IsInvalidArgument(job.status())) << job.status();
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("below one round"));
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("4 reports"));
}

TEST(Budget, AKillAtAnyWriteLeavesTheSameBook) {
  const double each = Reserved(3);
  const auto run = [each](Kill kill) {
    TestWorld world;
    world.StartCoordinator();
    JobSpec spec = CostlySpec(world, 3);
    spec.budget.joules = each * 8;
    world.Submit(spec);
    world.KillCoordinator();
    world.StartCoordinator(kill);
    for (FakeClient* client : world.AddClients(3)) client->train_ms = 500;
    const JobView job = world.RunToEnd("job-1", 600'000);
    EXPECT_EQ(job.stop_reason, "budget");
    const Audit audit = AuditOf(*world.disk);
    EXPECT_LE(audit.booked_uj, static_cast<int64_t>(each * 8e6));
    EXPECT_EQ(audit.reserved_uj, 0);
    EXPECT_EQ(job.budget.booked_uj, audit.booked_uj);
    return std::pair(audit.booked_uj, world.restarts);
  };
  const auto [whole, none] = run({});
  EXPECT_EQ(none, 0);
  int kills = 0;
  for (int write = 1; write <= 20; ++write) {
    for (Kill kill : {Kill{.before_write = write}, Kill{.after_write = write}}) {
      const auto [booked, restarts] = run(kill);
      kills += restarts;
      EXPECT_EQ(booked, whole) << "write " << write;
    }
  }
  EXPECT_GT(kills, 10) << "the kills happened";
}

TEST(Carbon, RoundsWaitForCleanerHoursUpToTheDeadline) {
  TestWorld world;
  world.carbon = std::make_unique<CarbonDesk>(CarbonConfig{.region = "PL"});
  world.StartCoordinator();
  world.AddClients(1);
  JobSpec spec = world.Spec(1);
  spec.carbon.pause_above = 300;
  spec.carbon.pause_max_s = 600;
  world.Submit(spec);
  world.RunFor(590'000);
  JobView job = *world.coordinator().GetJob("job-1");
  EXPECT_EQ(job.rounds_done, 0u);
  EXPECT_EQ(job.current.phase, "waiting");
  EXPECT_THAT(job.current.reason, HasSubstr("662 g/kWh now"));
  world.RunFor(120'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 3u) << "the deadline has passed";
}

TEST(Carbon, RoundsBeginWhenTheGridIsCleanEnough) {
  TestWorld world;
  const std::string path = absl::StrCat(world.dir(), "/grid.csv");
  ASSERT_TRUE(WriteFileAtomic(path,
                              "# kind: average lifecycle CO2e location\ntime,g_per_kwh\n"
                              "2026-01-01T00:00:00Z,500\n2026-01-01T00:05:00Z,100\n")
                  .ok());
  world.carbon = std::make_unique<CarbonDesk>(CarbonConfig{.source = "file", .path = path});
  world.StartCoordinator();
  world.AddClients(1);
  JobSpec spec = world.Spec(1);
  spec.carbon.pause_above = 300;
  spec.carbon.pause_max_s = 3600;
  world.Submit(spec);
  world.RunFor(290'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 0u);
  world.RunFor(180'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 3u);
}

TEST(Carbon, AnUnknownSourceAndALimitWithoutAFigureAreRefusedAtSubmit) {
  TestWorld world;
  world.carbon = std::make_unique<CarbonDesk>(
      CarbonConfig{.source = "electricity_maps", .region = "DE", .token_file = "/nowhere"});
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.carbon.source = "file";
  EXPECT_TRUE(
      absl::IsInvalidArgument(world.coordinator().SubmitJob(spec, world.AddBundle(), "").status()));
  spec.carbon.source = "";
  spec.budget.gco2e = 1000;
  const auto job = world.coordinator().SubmitJob(spec, world.AddBundle(), "");
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("no figure now"));
}

}  // namespace
}  // namespace fedwatt::testing
