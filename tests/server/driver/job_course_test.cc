#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

TEST(JobCourse, TrainsToTheEndWithEveryClientInEveryRound) {
  TestWorld world;
  world.StartCoordinator();
  const auto clients = world.AddClients(4);
  const JobView submitted = world.Submit(world.Spec(4));
  EXPECT_EQ(submitted.id, "job-1");
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
  EXPECT_EQ(job.stop_reason, "rounds");
  ASSERT_EQ(job.rounds.size(), 3u);
  for (const RoundSummary& round : job.rounds) {
    EXPECT_EQ(round.phase, "committed");
    EXPECT_EQ(round.reported, 4u);
    EXPECT_EQ(round.train_after.accuracy, 0.5);
    ASSERT_EQ(round.energy.size(), 1u);
    EXPECT_EQ(round.energy[0].useful_uj, 4000);
  }
  EXPECT_EQ(job.last.version, 3u);
  for (FakeClient* client : clients) {
    EXPECT_EQ(client->trainings.size(), 3u);
    for (const auto& [id, times] : client->trainings) EXPECT_EQ(times, 1) << id;
  }
}

}  // namespace
}  // namespace fedwatt::testing
