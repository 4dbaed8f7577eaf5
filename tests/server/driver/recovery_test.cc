#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/store/sqlite_store.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::HasSubstr;

TEST(Recovery, AnAcceptedUpdateWhoseBytesAreGoneIsWantedAgainAndNobodyTrainsTwice) {
  enum class Fault { kNone, kPowerCut, kDeath };
  const auto run = [](Fault fault) {
    TestWorld world;
    world.StartCoordinator();
    if (fault == Fault::kPowerCut) {
      world.spool_memory_bytes = 0;
      world.StartCoordinator();
    }
    const auto clients = world.AddClients(3);
    clients[2]->train_ms = 5000;
    world.Submit(world.Spec(3));
    world.RunFor(1000);
    // What was folded is in memory no more.
    EXPECT_EQ(world.spool->bytes_in_memory(), 0u);
    EXPECT_EQ(world.spool->bytes_reserved() > 0, fault == Fault::kPowerCut);
    if (fault == Fault::kDeath) world.StartCoordinator();
    if (fault == Fault::kPowerCut) {
      world.KillCoordinator();
      const std::string dir = absl::StrCat(world.dir(), "/spool");
      world.spool.reset();
      std::filesystem::remove_all(dir);
      world.spool = *OpenSpool({dir, 1 << 30});
      world.StartCoordinator();
    }
    const JobView job = world.RunToEnd("job-1");
    EXPECT_EQ(job.rounds.at(0).reported, 3u);
    EXPECT_EQ(job.rounds.at(0).key.attempt, 1u);
    EXPECT_EQ(job.energy.at(0).useful_uj, 9000);
    for (FakeClient* client : clients) {
      for (const auto& [id, times] : client->trainings) EXPECT_EQ(times, 1) << id;
    }
    EXPECT_EQ(world.Logged("accepted updates are gone"), fault != Fault::kNone);
    return job.last.sha256;
  };
  const Digest expected = run(Fault::kNone);
  EXPECT_EQ(run(Fault::kPowerCut), expected);
  EXPECT_EQ(run(Fault::kDeath), expected);
}

// Found by `fedwatt simulate --check`, seed 23.
TEST(Recovery, AnAcceptedUpdateThatIsGoneAndDoesNotComeAgainIsNeitherCommittedNorUseful) {
  TestWorld world;
  world.StartCoordinator();
  const auto clients = world.AddClients(3);
  for (FakeClient* client : clients) client->train_ms = 5000;
  clients[0]->train_ms = 0;
  JobSpec spec = world.Spec(2);
  spec.rounds = 1;
  spec.round.over_selection = 1.5;
  world.Submit(spec);
  world.RunFor(1000);
  ASSERT_EQ(clients[0]->replies.size(), 1u);
  ASSERT_TRUE(clients[0]->replies[0].accepted);
  clients[0]->Stop();
  world.StartCoordinator();
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.rounds.at(0).reported, 2u);
  EXPECT_EQ(job.energy.at(0).useful_uj, 2000);
  EXPECT_EQ(job.energy.at(0).wasted_uj, 1000);
  const auto totals = world.disk->EnergyTotals("job-1");
  ASSERT_TRUE(totals.ok());
  EXPECT_EQ(totals->at(0).useful_uj, 2000);
  EXPECT_EQ(totals->at(0).wasted_uj, 1000);
  clients[0]->Run();
  world.RunFor(30'000);
  ASSERT_EQ(clients[0]->outcomes.size(), 1u);
  EXPECT_EQ(clients[0]->outcomes.begin()->second.outcome, Outcome::kRefused);
}

TEST(Recovery, ACorruptModelIsNamedAndNotServed) {
  TestWorld world;
  world.StartCoordinator();
  world.AddClients(1)[0]->train_ms = 1000;
  world.Submit(world.Spec(1));
  world.RunFor(1500);
  ASSERT_TRUE(world.coordinator().StopJob("job-1", "").ok());
  const Digest model = world.coordinator().GetJob("job-1")->last.sha256;
  world.KillCoordinator();
  std::string path;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(absl::StrCat(world.dir(), "/blobs"))) {
    std::string name = entry.path().string();
    if (entry.is_regular_file() &&
        DigestHex(model).find(entry.path().filename()) != std::string::npos) {
      path = name;
    }
  }
  ASSERT_FALSE(path.empty());
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  ASSERT_TRUE(WriteFileAtomic(path, std::string(64, 'x')).ok());
  const absl::Status corrupt = world.TryStart();
  EXPECT_EQ(corrupt.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(corrupt.message()), HasSubstr("job job-1: model version "));
  EXPECT_THAT(std::string(corrupt.message()), HasSubstr(path));
  std::filesystem::remove(path);
  const absl::Status missing = world.TryStart();
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(missing.message()), HasSubstr(DigestHex(model)));
}

TEST(Recovery, OnTheRealStoreTheSameModelComesOut) {
  const auto run = [](bool kill, bool sqlite) {
    const std::string dir = absl::StrCat(::testing::TempDir(), "/driver-sqlite");
    std::filesystem::remove_all(dir);
    std::filesystem::create_directories(dir);
    std::unique_ptr<Store> store;
    if (sqlite) store = *SqliteStore::Open(SqliteStoreOptions{.dir = dir});
    TestWorld world(std::move(store));
    world.StartCoordinator();
    for (FakeClient* client : world.AddClients(3)) client->train_ms = 700;
    world.Submit(world.Spec(3));
    if (kill) {
      for (int i = 0; i < 4; ++i) {
        world.RunFor(400);
        world.StartCoordinator();
      }
    }
    const JobView job = world.RunToEnd("job-1");
    EXPECT_EQ(job.state, JobState::kCompleted);
    EXPECT_EQ(job.rounds.size(), 3u);
    EXPECT_EQ(job.energy.at(0).useful_uj, 9000);
    for (const auto& client : world.clients) {
      for (const auto& [id, times] : client->trainings) EXPECT_EQ(times, 1) << id;
    }
    return job.last.sha256;
  };
  const Digest expected = run(false, false);
  EXPECT_EQ(run(false, true), expected);
  EXPECT_EQ(run(true, true), expected);
}

TEST(Recovery, BackOffAndAttemptNumbersSurvive) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.rounds = 1;
  spec.round.backoff_initial_s = 100;
  spec.round.selection_timeout_s = 1;
  world.Submit(spec);
  world.RunFor(2000);
  world.StartCoordinator();
  world.AddClients(1);
  world.RunFor(90'000);
  EXPECT_EQ(world.coordinator().GetJob("job-1")->rounds_done, 0u) << "the back-off lasts 100 s";
  EXPECT_EQ(world.RunToEnd("job-1").rounds.at(0).key.attempt, 2u);
}

}  // namespace
}  // namespace fedwatt::testing
