// Law 3: kill -9 at any instant loses no committed model, counts no update twice, forgets no joule
// and wastes no device's work.

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

constexpr char kExact[] = "raw_f32";
constexpr int kClients = 4;
constexpr int kRounds = 3;

struct Ending {
  Digest model{};
  Digest downlink{};
  std::vector<EnergyTotal> energy;
  int tasks = 0;
  int writes = 0;
  int restarts = 0;
};

struct Script {
  std::string down;                 // codec.down
  uint64_t spool_memory_bytes = 0;  // for updates that come whole
};

// The script: four devices and an evaluator, every device in every round, an evaluation each round;
// half of the devices stream their updates.
Ending RunScript(const Script& script, Kill kill) {
  const std::string& down = script.down;
  TestWorld world;
  world.spool_memory_bytes = script.spool_memory_bytes;
  world.StartCoordinator();
  JobSpec spec = world.Spec(kClients);
  spec.rounds = kRounds;
  spec.evaluation.every = 1;
  spec.codec.down = down;
  // With a lossy downlink large enough that steps are the smaller way.
  const Digest bundle = world.AddBundle(down == kExact ? 16 : 256);
  EXPECT_TRUE(world.coordinator().SubmitJob(spec, bundle, "request").ok());
  world.KillCoordinator();
  world.StartCoordinator(kill);
  const std::vector<std::string> codecs = {"raw_f32", "topk"};
  for (int i = 0; i < kClients; ++i) {
    FakeClient* const client =
        world.AddClient({.name = absl::StrCat("device-", i), .codecs = codecs});
    client->train_ms = 500;
    if (i < 2) client->chunk_bytes = 10;
  }
  world.AddClient({.name = "judge", .role = Role::kEvaluator, .codecs = codecs});
  const JobView job = world.RunToEnd("job-1", 600'000);
  EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
  EXPECT_EQ(job.rounds.size(), size_t{kRounds});
  for (const RoundSummary& round : job.rounds) {
    EXPECT_EQ(round.reported, uint32_t{kClients});
    EXPECT_EQ(round.key.attempt, 1u) << "an attempt was abandoned: " << round.reason;
    EXPECT_TRUE(round.evaluation.has_value());
  }
  bool any_step = false;
  for (const auto& client : world.clients) {
    for (const Assignment& assignment : client->assignments) {
      for (const ModelStep& step : assignment.model_steps) any_step |= step.base != Digest{};
    }
    for (const auto& [id, times] : client->trainings) EXPECT_EQ(times, 1) << id;
    EXPECT_EQ(client->trainings.size(), size_t{kRounds}) << client->options().name;
  }
  EXPECT_EQ(any_step, down != kExact);
  const auto commit = world.disk->LastCommit("job-1");
  EXPECT_TRUE(commit.ok() && commit->has_value());
  const Digest downlink = (*commit)->codec_state;
  return {job.last.sha256, downlink, job.energy, world.tasks(), world.writes(), world.restarts};
}

void ExpectSame(const Ending& run, const Ending& reference) {
  EXPECT_EQ(DigestHex(run.model), DigestHex(reference.model));
  EXPECT_EQ(DigestHex(run.downlink), DigestHex(reference.downlink));
  ASSERT_EQ(run.energy.size(), 1u);
  EXPECT_EQ(run.energy[0].useful_uj, reference.energy[0].useful_uj);
  EXPECT_EQ(run.energy[0].wasted_uj, 0);
}

class Kills : public ::testing::TestWithParam<Script> {
 protected:
  Kills() { reference_ = RunScript({}); }
  Ending RunScript(Kill kill) { return fedwatt::testing::RunScript(GetParam(), kill); }
  Ending reference_;
};

INSTANTIATE_TEST_SUITE_P(Downlink, Kills,
                         ::testing::Values(Script{kExact}, Script{"topk:fraction=0.1"}),
                         [](const auto& info) { return info.param.down.substr(0, 4); });
// Room for one of the two devices that send their updates whole; with both in one second, the other
// one's goes to a file.
INSTANTIATE_TEST_SUITE_P(UpdatesInMemory, Kills,
                         ::testing::Values(Script{kExact, 64}, Script{kExact, 1 << 20}),
                         [](const auto& info) {
                           return absl::StrCat("Bytes", info.param.spool_memory_bytes);
                         });

TEST_P(Kills, TheUninterruptedRunIsTheReference) {
  EXPECT_EQ(reference_.restarts, 0);
  EXPECT_EQ(reference_.downlink == Digest{}, GetParam().down == kExact);
  EXPECT_EQ(reference_.energy[0].useful_uj, (kClients + 1) * kRounds * 1000);
  ExpectSame(RunScript({}), reference_);
}

TEST_P(Kills, BeforeAnyBatchIsDurable) {
  ASSERT_GT(reference_.writes, 20);
  for (int n = 1; n <= reference_.writes; ++n) {
    SCOPED_TRACE(absl::StrCat("killed before batch ", n));
    const Ending run = RunScript({.before_write = n});
    EXPECT_EQ(run.restarts, 1);
    ExpectSame(run, reference_);
    if (HasFailure()) return;
  }
}

TEST_P(Kills, AfterAnyBatchIsDurableAndBeforeAnyoneHears) {
  for (int n = 1; n <= reference_.writes; ++n) {
    SCOPED_TRACE(absl::StrCat("killed after batch ", n));
    const Ending run = RunScript({.after_write = n});
    // The last batch ends the job; a successor finds nothing to do.
    EXPECT_EQ(run.restarts, 1);
    ExpectSame(run, reference_);
    if (HasFailure()) return;
  }
}

TEST_P(Kills, BetweenAnyTwoTasks) {
  ASSERT_GT(reference_.tasks, 100);
  for (int n = 1; n <= reference_.tasks; ++n) {
    SCOPED_TRACE(absl::StrCat("killed before task ", n));
    ExpectSame(RunScript({.at_task = n}), reference_);
    if (HasFailure()) return;
  }
}

// 10 W from the start of each attempt to its end, whoever is killed in between. What a kill takes
// with it was spent since the last batch or the last half minute.
TEST(KillTest, TheCoordinatorsOwnJoulesOutliveIt) {
  TestWorld world;
  world.own_watts = 10;
  world.StartCoordinator();
  world.AddClients(1);
  // The round waits for it to its deadline.
  world.AddClients(1).front()->train = [](const Assignment&) { return std::nullopt; };
  JobSpec spec = world.Spec(2);
  spec.rounds = 1;
  spec.round.min_reports = 1;
  spec.round.report_deadline_s = 600;
  const std::string job = world.Submit(spec).id;
  const int64_t begin_ms = world.clock.NowMs();
  int64_t lost_ms = 0;
  for (const int64_t at_ms : {5'000, 40'000, 100'000, 100'500, 350'000}) {
    world.RunFor(begin_ms + at_ms - world.clock.NowMs());
    world.KillCoordinator();
    world.RunFor(2'000);  // nobody is there to draw power
    lost_ms += 2'000;
    world.StartCoordinator();
  }
  const JobView view = world.RunToEnd(job);
  ASSERT_EQ(view.state, JobState::kCompleted) << view.reason;
  const double seconds =
      static_cast<double>(view.rounds[0].ended_ms - view.rounds[0].started_ms - lost_ms) / 1000;
  const auto sums = *world.disk->EnergySums(job, EnergyAxis::kSource,
                                            EnergyFilter{.party = EnergyParty::kCoordinator});
  ASSERT_EQ(sums.size(), 1u);
  const double joules = static_cast<double>(sums[0].figures.energy_uj) / 1e6;
  EXPECT_LE(joules, 10 * seconds + 1);
  EXPECT_GE(joules, 10 * (seconds - 5 * 30)) << "at most half a minute for each kill";
  EXPECT_GT(seconds, 500);
}

}  // namespace
}  // namespace fedwatt::testing
