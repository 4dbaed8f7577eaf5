// Over-selection, deadlines, late reports, and rounds that have to begin again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cut_proxy.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kParameters = 100'000;
constexpr uint64_t kUpdateBytes = kParameters * sizeof(float);

int64_t WastedUj(const v1::Job& job) {
  int64_t wasted = 0;
  for (const v1::EnergyTotal& energy : job.energy()) wasted += energy.wasted_uj();
  return wasted;
}

class RoundLimits : public testing::Test {
 protected:
  // `count` clients that wait for work.
  void StartFleet(int count) {
    fleet_.WriteBundle({.parameters = kParameters});
    ASSERT_TRUE(fleet_.StartCoordinator());
    fleet_.StartClients(0, count);
    ASSERT_TRUE(fleet_.WaitForClients(count));
  }

  Deployment fleet_;
};

TEST_F(RoundLimits, OverSelectionDoesNotWaitForASlowClientAndRefusesItsLateReport) {
  StartFleet(3);
  CutProxy proxy(fleet_.port());
  fleet_.StartClient("client-3", {.server = proxy.address()});
  ASSERT_TRUE(fleet_.WaitForClients(4));
  // It gets the model and trains, and its upload stops in the middle.
  proxy.HoldAfter(CutProxy::kUp, proxy.bytes(CutProxy::kUp) + kUpdateBytes / 2);
  const std::string job =
      fleet_.Submit({.rounds = 1, .goal = 3, .set = {"round.over_selection=1.3"}});
  ASSERT_TRUE(fleet_.WaitForEnd(job));
  const v1::Job done = fleet_.Job(job);
  EXPECT_EQ(done.state(), v1::JOB_STATE_COMPLETED);
  EXPECT_EQ(done.rounds(0).assigned(), 4u);
  EXPECT_EQ(done.rounds(0).reported(), 3u);
  EXPECT_EQ(WastedUj(done), 0);

  ASSERT_TRUE(WaitUntil("the upload", [&] { return proxy.holding(CutProxy::kUp); }));
  proxy.Release();
  ASSERT_TRUE(fleet_.WaitForJob(job, "the late report's energy",
                                [](const v1::Job& j) { return WastedUj(j) > 0; }));
  ASSERT_TRUE(
      WaitUntil("the refusal", [&] { return !fleet_.Events("client-3", "resolved").empty(); }));
  const nlohmann::json resolved = fleet_.Events("client-3", "resolved")[0];
  EXPECT_EQ(resolved.value("outcome", ""), "refused");
  EXPECT_THAT(resolved.value("reason", ""), HasSubstr("late"));
  EXPECT_EQ(ModelHash(fleet_.Job(job)), ModelHash(done)) << "a late update was counted";

  const int64_t wasted_uj = WastedUj(fleet_.Job(job));
  fleet_.KillCoordinator();
  ASSERT_TRUE(fleet_.StartCoordinator());
  EXPECT_EQ(WastedUj(fleet_.Job(job)), wasted_uj) << "a restart forgot joules";
}

TEST_F(RoundLimits, ADeadClientIsNotWaitedForEither) {
  StartFleet(4);
  fleet_.client("client-3").Freeze();
  const std::string job = fleet_.Submit(
      {.rounds = 2, .goal = 3, .set = {"round.over_selection=1.3", "round.selection_timeout_s=1"}});
  ASSERT_TRUE(fleet_.WaitForEnd(job));
  EXPECT_EQ(fleet_.Job(job).state(), v1::JOB_STATE_COMPLETED) << fleet_.Job(job).reason();
  // Back again, it drops the work that is over, and serves.
  fleet_.client("client-3").Thaw();
  const std::string next = fleet_.Submit({.name = "next", .rounds = 1, .goal = 4});
  ASSERT_TRUE(fleet_.WaitForEnd(next));
  EXPECT_EQ(fleet_.Job(next).rounds(0).reported(), 4u);
}

TEST_F(RoundLimits, ADeadlineWithEnoughReportsCommits) {
  StartFleet(3);
  fleet_.client("client-2").Freeze();
  const std::string job = fleet_.Submit(
      {.rounds = 1, .goal = 3, .set = {"round.min_reports=2", "round.report_deadline_s=4"}});
  ASSERT_TRUE(fleet_.WaitForEnd(job));
  const v1::Job done = fleet_.Job(job);
  EXPECT_EQ(done.state(), v1::JOB_STATE_COMPLETED) << done.reason();
  EXPECT_EQ(done.rounds(0).reported(), 2u);
  EXPECT_EQ(done.rounds(0).assigned(), 3u);
  EXPECT_GE(done.rounds(0).ended_ms() - done.rounds(0).started_ms(), 4000);
}

TEST_F(RoundLimits, ADeadlineWithTooFewReportsBeginsTheRoundAgain) {
  StartFleet(3);
  fleet_.client("client-2").Freeze();
  const std::string job =
      fleet_.Submit({.rounds = 1, .goal = 3, .set = {"round.report_deadline_s=4"}});
  ASSERT_TRUE(fleet_.WaitForJob(job, "the second attempt",
                                [](const v1::Job& j) { return j.current().key().attempt() == 2; }));
  EXPECT_GT(WastedUj(fleet_.Job(job)), 0) << "two clients have worked in vain";
  fleet_.client("client-2").Thaw();
  ASSERT_TRUE(fleet_.WaitForEnd(job));
  const v1::Job done = fleet_.Job(job);
  EXPECT_EQ(done.state(), v1::JOB_STATE_COMPLETED) << done.reason();
  EXPECT_GE(done.rounds(0).key().attempt(), 2u);
  EXPECT_EQ(done.rounds(0).reported(), 3u);
}

TEST_F(RoundLimits, TooFewClientsAreWaitedForWithBackOff) {
  StartFleet(1);
  const std::string job =
      fleet_.Submit({.rounds = 2, .goal = 2, .set = {"round.selection_timeout_s=1"}});
  ASSERT_TRUE(fleet_.WaitForJob(job, "the second attempt",
                                [](const v1::Job& j) { return j.current().key().attempt() >= 2; }));
  fleet_.StartClient("client-1");
  ASSERT_TRUE(fleet_.WaitForEnd(job));
  const v1::Job done = fleet_.Job(job);
  EXPECT_EQ(done.state(), v1::JOB_STATE_COMPLETED) << done.reason();
  EXPECT_GE(done.rounds(0).key().attempt(), 2u);
}

TEST_F(RoundLimits, AttemptsAreNotForEver) {
  StartFleet(1);
  const Output run = fleet_.Cli({"run", fleet_.WriteJobFile({.rounds = 1, .goal = 2}), "--set",
                                 "round.selection_timeout_s=0.3", "--set", "round.max_attempts=2"});
  EXPECT_EQ(run.code, 1) << run.ToString();
  EXPECT_THAT(run.out, AllOf(HasSubstr("abandoned (attempt 1)"), HasSubstr("abandoned (attempt 2)"),
                             HasSubstr("failed")));
  const v1::Job job = fleet_.Job("echo");
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(job.reason(), HasSubstr("2"));
  EXPECT_EQ(job.rounds_done(), 0u);
}

}  // namespace
}  // namespace fedwatt::e2e
