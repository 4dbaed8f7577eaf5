// A job with a budget of joules, as a user runs it: it stops within the budget, whoever is killed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kClients = 4;

// Work that is expected to cost joules, whatever the echo trainer really needs. Its devices have a
// meter of 5 W, so that they claim less than their class can do with.
EchoJob Costly(const std::string& name) {
  EchoJob job{.name = name, .rounds = 1000, .goal = kClients};
  job.set = {"plan.local_epochs=0", "plan.local_steps=10000000", "round.min_reports=2",
             "round.selection_timeout_s=3", "round.report_deadline_s=5"};
  return job;
}

void StartFleet(Deployment* fleet) {
  fleet->WriteBundle();
  ASSERT_TRUE(fleet->StartCoordinator());
  for (uint32_t i = 0; i < kClients; ++i) {
    fleet->StartClient(absl::StrCat("client-", i),
                       {.extra = {"--meter", "simulated", "--device-class", "phone"}});
  }
}

// What the assignments of one round reserve while nothing is known of these devices.
double JoulesOfFirstRound(Deployment* fleet) {
  EchoJob probe = Costly("probe");
  probe.rounds = 1;
  const std::string job = fleet->Submit(probe);
  EXPECT_TRUE(fleet->WaitForEnd(job));
  // Booked at the floor, an eighth of what is expected; reserved with two sigma, three times that.
  return static_cast<double>(fleet->Job(job).budget().booked_uj()) * 1e-6 * 8 * 3;
}

void ExpectWithin(const v1::Job& job, double limit_j) {
  EXPECT_EQ(job.state(), v1::JOB_STATE_COMPLETED) << job.reason();
  EXPECT_EQ(job.stop_reason(), "budget");
  EXPECT_THAT(job.reason(), HasSubstr("budget.joules"));
  EXPECT_GE(job.rounds_done(), 3u);
  EXPECT_EQ(job.budget().reserved_uj(), 0);
  EXPECT_GT(static_cast<double>(job.budget().booked_uj()), 0.5e6 * limit_j) << "it was made use of";
  EXPECT_LE(static_cast<double>(job.budget().booked_uj()), 1e6 * limit_j);
  int64_t claimed_uj = 0;
  for (const v1::EnergyTotal& total : job.energy()) {
    claimed_uj += total.useful_uj() + total.wasted_uj();
  }
  EXPECT_GT(claimed_uj, 0);
  EXPECT_LE(claimed_uj, job.budget().booked_uj()) << "claims below the floor are raised to it";
  EXPECT_GT(job.budget().raised(), 0u);
}

TEST(Budget, AJobStopsWithinItsJoulesAndSaysSo) {
  Deployment fleet(kClients);
  ASSERT_NO_FATAL_FAILURE(StartFleet(&fleet));
  EchoJob job = Costly("frugal");
  const double limit_j = 1.5 * JoulesOfFirstRound(&fleet);
  job.set.push_back(absl::StrCat("budget.joules=", limit_j));
  const std::string id = fleet.Submit(job);
  ASSERT_TRUE(fleet.WaitForEnd(id, 120'000));
  ExpectWithin(fleet.Job(id), limit_j);
  const Output report = fleet.Cli({"report", id});
  EXPECT_EQ(report.code, 0) << report.ToString();
  EXPECT_THAT(report.out, HasSubstr("Claims")) << "those that are not believed";
}

TEST(Budget, HoldsWhenAClientAndTheCoordinatorAreKilledInTheMiddle) {
  Deployment fleet(kClients);
  ASSERT_NO_FATAL_FAILURE(StartFleet(&fleet));
  EchoJob job = Costly("frugal");
  const double limit_j = 1.5 * JoulesOfFirstRound(&fleet);
  job.set.push_back(absl::StrCat("budget.joules=", limit_j));
  const std::string id = fleet.Submit(job);
  const auto within = [&](const v1::Job& now) {
    EXPECT_LE(static_cast<double>(now.budget().booked_uj() + now.budget().reserved_uj()),
              1e6 * limit_j);
  };
  ASSERT_TRUE(fleet.WaitForJob(id, "some rounds", [&](const v1::Job& now) {
    within(now);
    return now.rounds_done() >= 2;
  }));
  fleet.client("client-3").Kill();
  fleet.KillCoordinator();
  ASSERT_TRUE(fleet.StartCoordinator());
  fleet.StartClient("client-3", {.extra = {"--meter", "simulated", "--device-class", "phone"}});
  ASSERT_TRUE(fleet.WaitForJob(
      id, "the end",
      [&](const v1::Job& now) {
        within(now);
        return now.state() != v1::JOB_STATE_RUNNING;
      },
      120'000));
  ExpectWithin(fleet.Job(id), limit_j);
}

TEST(Targets, AMissedOneGivesItsExitCode) {
  Deployment fleet(kClients);
  ASSERT_NO_FATAL_FAILURE(StartFleet(&fleet));
  EchoJob job{.name = "missed", .rounds = 2, .goal = kClients};
  const auto run = [&](const std::string& target) {
    std::vector<std::string> args = {"run", fleet.WriteJobFile(job), "--set", target};
    return fleet.Cli(args);
  };
  const Output missed = run("targets.joules=0.000000001");
  EXPECT_EQ(missed.code, 7) << missed.ToString();
  EXPECT_THAT(missed.out + missed.err, HasSubstr("MISSED  targets.joules"));
  const Output passed = run("targets.joules=1000000");
  EXPECT_EQ(passed.code, 0) << passed.ToString();
  EXPECT_THAT(passed.out + passed.err, HasSubstr("passed  targets.joules"));
}

}  // namespace
}  // namespace fedwatt::e2e
