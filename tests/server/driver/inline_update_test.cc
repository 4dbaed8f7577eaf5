// Updates that come whole, inside their report: in memory while there is room, in files beyond it,
// whatever the number of clients.

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kUpdateBytes = 16 * sizeof(float);
constexpr int kClients = 8;

// Devices that have trained and send when the test says so.
class InlineFleet {
 public:
  explicit InlineFleet(uint64_t spool_memory_bytes) {
    world.spool_memory_bytes = spool_memory_bytes;
    world.StartCoordinator();
    world.StartCoordinator();  // on a spool of that size
    clients_ = world.AddClients(kClients);
    for (FakeClient* client : clients_) {
      client->train = [](const Assignment&) { return std::nullopt; };
    }
    JobSpec spec = world.Spec(kClients);
    spec.rounds = 1;
    EXPECT_TRUE(world.coordinator().SubmitJob(spec, world.AddBundle(), "").ok());
    world.RunFor(100);
  }

  Report ReportOf(int index) {
    FakeWork work = clients_[index]->DefaultWork(clients_[index]->assignments.at(0));
    work.report.update.sha256 = Sha256Of(AsBytes(work.update));
    work.report.update.size = work.update.size();
    work.report.update.inline_data = work.update;
    return work.report;
  }

  void Send(int index) { Send(index, ReportOf(index)); }
  void Send(int index, Report report) {
    world.coordinator().SubmitReport(
        clients_[index]->principal(), std::move(report),
        [this](absl::StatusOr<ReportReply> reply) { replies.push_back(std::move(reply)); });
  }

  // The model, once all have reported.
  Digest End() {
    world.RunFor(1000);
    const JobView job = *world.coordinator().GetJob("job-1");
    EXPECT_EQ(job.state, JobState::kCompleted);
    EXPECT_EQ(job.rounds.at(0).reported, uint32_t{kClients});
    EXPECT_EQ(spool().bytes_in_memory(), 0u);
    EXPECT_EQ(spool().bytes_reserved(), 0u);
    return job.last.sha256;
  }

  Spool& spool() { return *world.spool; }

  TestWorld world;
  std::vector<absl::StatusOr<ReportReply>> replies;

 private:
  std::vector<FakeClient*> clients_;
};

TEST(InlineUpdates, ReserveMemoryBeforeAnythingElseAndGoToFilesBeyondIt) {
  InlineFleet fleet(3 * kUpdateBytes + 1);
  for (int i = 0; i < kClients; ++i) fleet.Send(i);
  // Nobody has looked at one yet, and all of them are accounted for.
  EXPECT_EQ(fleet.spool().bytes_in_memory(), 3 * kUpdateBytes);
  EXPECT_EQ(fleet.spool().bytes_reserved(), (kClients - 3) * kUpdateBytes);
  fleet.End();
  ASSERT_EQ(fleet.replies.size(), size_t{kClients});
  for (const auto& reply : fleet.replies) EXPECT_TRUE(reply->accepted);
}

TEST(InlineUpdates, WhereverTheyAreTheModelIsTheSame) {
  std::vector<std::string> models;
  for (const uint64_t memory : {uint64_t{0}, 3 * kUpdateBytes, uint64_t{1} << 20}) {
    InlineFleet fleet(memory);
    for (int i = 0; i < kClients; ++i) fleet.Send(i);
    EXPECT_EQ(fleet.spool().bytes_reserved() > 0, memory < kClients * kUpdateBytes);
    models.push_back(DigestHex(fleet.End()));
  }
  EXPECT_EQ(models[1], models[0]);
  EXPECT_EQ(models[2], models[0]);
}

TEST(InlineUpdates, MemoryIsFreeOnceAnUpdateIsFoldedNotWhenTheRoundEnds) {
  InlineFleet fleet(kUpdateBytes);
  for (int i = 0; i + 1 < kClients; ++i) {
    fleet.Send(i);
    EXPECT_EQ(fleet.spool().bytes_in_memory(), kUpdateBytes) << i;
    fleet.world.RunFor(10);
    EXPECT_EQ(fleet.spool().bytes_in_memory(), 0u) << i;
  }
  EXPECT_EQ(fleet.spool().bytes_reserved(), 0u) << "none needed a file";
  fleet.Send(kClients - 1);
  fleet.End();
}

TEST(InlineUpdates, OneThatWasAlteredOnItsWayGivesItsMemoryBackAndMayComeAgain) {
  InlineFleet fleet(1 << 20);
  Report altered = fleet.ReportOf(0);
  altered.update.inline_data[3] ^= 1;
  fleet.Send(0, altered);
  fleet.world.RunFor(10);
  ASSERT_EQ(fleet.replies.size(), 1u);
  EXPECT_EQ(fleet.replies[0].status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(fleet.replies[0].status().message()), HasSubstr("send it again"));
  EXPECT_EQ(fleet.spool().bytes_in_memory(), 0u);
  for (int i = 0; i < kClients; ++i) fleet.Send(i);
  fleet.End();
}

TEST(InlineUpdates, CopiesOfOneReportCountOnce) {
  for (const uint64_t memory : {uint64_t{0}, 2 * kUpdateBytes, uint64_t{1} << 20}) {
    InlineFleet fleet(memory);
    for (int i = 0; i < 5; ++i) fleet.Send(0);
    for (int i = 1; i < kClients; ++i) fleet.Send(i);
    fleet.End();
  }
}

TEST(InlineUpdates, OneThatIsShorterThanDeclaredIsNotTaken) {
  InlineFleet fleet(1 << 20);
  Report cut = fleet.ReportOf(0);
  cut.update.inline_data.pop_back();
  fleet.Send(0, cut);
  EXPECT_EQ(fleet.spool().bytes_in_memory(), 0u);
  ASSERT_EQ(fleet.replies.size(), 1u);
  EXPECT_EQ(fleet.replies[0].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(fleet.replies[0].status().message()), HasSubstr("63 of 64 bytes"));
}

}  // namespace
}  // namespace fedwatt::testing
