// kill -9 in the middle of writing: what was acknowledged is there, nothing is there by half.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/store/sqlite_store.h"
#include "tests/common/base/temp_dir.h"
#include "tests/server/store/child_process.h"
#include "tests/server/store/records.h"

namespace fedwatt {
namespace {

constexpr uint32_t kClients = 8;

// Round r is written as two batches: its reports, then its commit together with the next round's
// assignments. Several are on their way at a time, so that commits are groups.
std::vector<StoreWrite> ReportsOf(uint64_t round) {
  std::vector<StoreWrite> batch;
  for (uint32_t index = 0; index < kClients; ++index)
    batch.push_back(Accepted(Train(round), index));
  return batch;
}

std::vector<StoreWrite> CommitOf(uint64_t round) {
  std::vector<std::string> clients;
  for (uint32_t index = 0; index < kClients; ++index) clients.push_back(absl::StrCat("c", index));
  return {Committed(Train(round)), Assigned(Train(round + 1), clients)};
}

// Goes on after the last round that the store has; acknowledges each round whose commit is durable.
void WriteRounds(const std::string& dir, int fd) {
  auto store = SqliteStore::Open({.dir = dir});
  if (!store.ok()) _exit(2);
  if ((*store)->LoadJobs()->empty()) {
    (*store)->Write({PutJob{MakeJob()}}, [](const absl::Status&) {});
    (*store)->Write(CommitOf(0), [](const absl::Status&) {});
  }
  const auto last = *(*store)->LastCommit("job-1");
  for (uint64_t round = last ? last->key.round + 1 : 1;; ++round) {
    (*store)->Write(ReportsOf(round), [](const absl::Status&) {});
    (*store)->Write(CommitOf(round), [fd, round](const absl::Status& status) {
      if (status.ok()) Acknowledge(fd, static_cast<uint32_t>(round));
    });
  }
}

void ExpectWhole(const std::string& dir, uint64_t acknowledged) {
  const auto store = SqliteStore::Open({.dir = dir});
  ASSERT_TRUE(store.ok()) << store.status();
  const auto commit = *(*store)->LastCommit("job-1");
  ASSERT_TRUE(commit.has_value());
  const uint64_t last = commit->key.round;
  EXPECT_GE(last, acknowledged);
  EXPECT_EQ((*store)->LoadRounds("job-1")->size(), last + 1);
  EXPECT_EQ((*store)->LoadModels("job-1")->size(), last + 1);
  // The next round is assigned to all, and either all its reports are there or none is.
  const auto log = *(*store)->LoadLog("job-1");
  ASSERT_TRUE(log.size() == 1 || log.size() == 1 + kClients) << log.size();
  for (uint32_t index = 0; index < kClients; ++index) {
    const auto next = *(*store)->FindAssignment(MakeAssignmentId(Train(last + 1), index));
    ASSERT_TRUE(next.has_value());
    EXPECT_EQ(next->state,
              log.size() == 1 ? AssignmentState::kAssigned : AssignmentState::kReported);
  }
  const auto totals = *(*store)->EnergyTotals("job-1");
  ASSERT_EQ(totals.size(), last == 0 ? 0u : 1u);
  if (last > 0) {
    EXPECT_EQ(totals[0].useful_uj, static_cast<int64_t>(100 * kClients * last));
  }
}

TEST(SqliteCrash, KilledAtAnyMomentItHasWhatItAcknowledgedAndNothingByHalf) {
  const TempDir dir;
  uint32_t acknowledged = 0;
  for (uint32_t run = 0; run < 12; ++run) {
    {
      ChildProcess child([&dir](int fd) { WriteRounds(dir.path(), fd); });
      // How far it gets, and where in the next commit it dies, differs from run to run.
      uint32_t ack = 0;
      for (uint32_t i = 0; i < 1 + run * 7 % 11; ++i) {
        ASSERT_TRUE(child.Next(&ack));
        acknowledged = std::max(acknowledged, ack);
      }
      child.Kill();
      while (child.Next(&ack)) acknowledged = std::max(acknowledged, ack);
    }
    ExpectWhole(dir.path(), acknowledged);
  }
  EXPECT_GT(acknowledged, 12u);
}

}  // namespace
}  // namespace fedwatt
