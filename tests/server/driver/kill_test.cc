// Law 3: kill -9 at any instant loses no committed model, counts no update twice, forgets no joule
// and wastes no device's work.

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

constexpr int kClients = 4;
constexpr int kRounds = 3;

struct Ending {
  Digest model{};
  std::vector<EnergyTotal> energy;
  int tasks = 0;
  int writes = 0;
  int restarts = 0;
};

// The script: four devices and an evaluator, every device in every round, an evaluation each round;
// half of the devices stream their updates.
Ending RunScript(Kill kill) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(kClients);
  spec.rounds = kRounds;
  spec.evaluation.every = 1;
  const Digest bundle = world.AddBundle();
  EXPECT_TRUE(world.coordinator().SubmitJob(spec, bundle, "request").ok());
  world.KillCoordinator();
  world.StartCoordinator(kill);
  for (FakeClient* client : world.AddClients(kClients)) {
    client->train_ms = 500;
    if (client->options().name < "device-2") client->chunk_bytes = 10;
  }
  world.AddClient({.name = "judge", .role = Role::kEvaluator});
  const JobView job = world.RunToEnd("job-1", 600'000);
  EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
  EXPECT_EQ(job.rounds.size(), size_t{kRounds});
  for (const RoundSummary& round : job.rounds) {
    EXPECT_EQ(round.reported, uint32_t{kClients});
    EXPECT_EQ(round.key.attempt, 1u) << "an attempt was abandoned: " << round.reason;
    EXPECT_TRUE(round.evaluation.has_value());
  }
  for (const auto& client : world.clients) {
    for (const auto& [id, times] : client->trainings) EXPECT_EQ(times, 1) << id;
    EXPECT_EQ(client->trainings.size(), size_t{kRounds}) << client->options().name;
  }
  return {job.last.sha256, job.energy, world.tasks(), world.writes(), world.restarts};
}

void ExpectSame(const Ending& run, const Ending& reference) {
  EXPECT_EQ(DigestHex(run.model), DigestHex(reference.model));
  ASSERT_EQ(run.energy.size(), 1u);
  EXPECT_EQ(run.energy[0].useful_uj, reference.energy[0].useful_uj);
  EXPECT_EQ(run.energy[0].wasted_uj, 0);
}

class Kills : public ::testing::Test {
 protected:
  Kills() { reference_ = RunScript({}); }
  Ending reference_;
};

TEST_F(Kills, TheUninterruptedRunIsTheReference) {
  EXPECT_EQ(reference_.restarts, 0);
  EXPECT_EQ(reference_.energy[0].useful_uj, (kClients + 1) * kRounds * 1000);
  ExpectSame(RunScript({}), reference_);
}

TEST_F(Kills, BeforeAnyBatchIsDurable) {
  ASSERT_GT(reference_.writes, 20);
  for (int n = 1; n <= reference_.writes; ++n) {
    SCOPED_TRACE(absl::StrCat("killed before batch ", n));
    const Ending run = RunScript({.before_write = n});
    EXPECT_EQ(run.restarts, 1);
    ExpectSame(run, reference_);
    if (HasFailure()) return;
  }
}

TEST_F(Kills, AfterAnyBatchIsDurableAndBeforeAnyoneHears) {
  for (int n = 1; n <= reference_.writes; ++n) {
    SCOPED_TRACE(absl::StrCat("killed after batch ", n));
    const Ending run = RunScript({.after_write = n});
    // The last batch ends the job; a successor finds nothing to do.
    EXPECT_EQ(run.restarts, 1);
    ExpectSame(run, reference_);
    if (HasFailure()) return;
  }
}

TEST_F(Kills, BetweenAnyTwoTasks) {
  ASSERT_GT(reference_.tasks, 100);
  for (int n = 1; n <= reference_.tasks; ++n) {
    SCOPED_TRACE(absl::StrCat("killed before task ", n));
    ExpectSame(RunScript({.at_task = n}), reference_);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace fedwatt::testing
