// kill -9 of the coordinator: nothing is lost, nothing counts twice, and no device works twice.

#include <gtest/gtest.h>

#include <tuple>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cut_proxy.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

constexpr uint64_t kParameters = 1'200'000;

// Codec of both directions, and bits a parameter.
struct Coding {
  const char* name;
  const char* codec;
  uint64_t bits;

  EchoJob Job() const { return {.rounds = 6, .goal = 3, .codec = codec}; }
};

class CoordinatorCrash : public testing::TestWithParam<Coding> {
 protected:
  const EchoJob job_ = GetParam().Job();
};

std::string UndisturbedHash(const EchoBundle& bundle, const EchoJob& echo) {
  Deployment fleet(3);
  fleet.WriteBundle(bundle);
  EXPECT_TRUE(fleet.StartCoordinator());
  fleet.StartClients(0, 3);
  const std::string job = fleet.Submit(echo);
  EXPECT_TRUE(fleet.WaitForEnd(job));
  EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED);
  return ModelHash(fleet.Job(job));
}

void ExpectAllCounted(const v1::Job& job, const EchoJob& echo) {
  EXPECT_EQ(job.state(), v1::JOB_STATE_COMPLETED) << job.reason();
  ASSERT_EQ(job.rounds_size(), static_cast<int>(echo.rounds));
  for (const v1::RoundSummary& round : job.rounds()) {
    EXPECT_EQ(round.key().attempt(), 1u) << "the attempt in flight was not resumed";
    EXPECT_EQ(round.reported(), echo.goal);
    for (const v1::EnergyTotal& energy : round.energy()) EXPECT_EQ(energy.wasted_uj(), 0);
  }
}

TEST_P(CoordinatorCrash, WhileSelectingWhileReceivingAndBetweenRounds) {
  const EchoBundle bundle{.parameters = kParameters};
  const std::string expected = UndisturbedHash(bundle, job_);

  Deployment fleet(3);
  fleet.WriteBundle(bundle);
  ASSERT_TRUE(fleet.StartCoordinator());
  CutProxy proxy(fleet.port());
  fleet.StartClients(0, 2);
  const std::string job = fleet.Submit(job_);
  ASSERT_TRUE(fleet.WaitForClients(2));
  ASSERT_TRUE(fleet.WaitForPhase(job, "selecting"));
  fleet.KillCoordinator();
  ASSERT_TRUE(fleet.StartCoordinator());
  ASSERT_EQ(fleet.Job(job).current().phase(), "selecting");

  proxy.HoldAfter(CutProxy::kUp, kParameters * GetParam().bits / 8 / 2);
  fleet.StartClient("client-2", {.server = proxy.address()});
  ASSERT_TRUE(fleet.WaitForJob(job, "two reports",
                               [](const v1::Job& j) { return j.current().reported() == 2; }));
  ASSERT_TRUE(WaitUntil("half of the third upload", [&] { return proxy.holding(CutProxy::kUp); }));
  fleet.KillCoordinator();
  ASSERT_TRUE(fleet.StartCoordinator());
  EXPECT_EQ(fleet.Job(job).current().reported(), 2u);
  EXPECT_EQ(fleet.Job(job).current().phase(), "reporting");
  proxy.Release();

  ASSERT_TRUE(
      fleet.WaitForJob(job, "a commit", [](const v1::Job& j) { return j.rounds_done() >= 2; }));
  fleet.KillCoordinator();
  ASSERT_TRUE(fleet.StartCoordinator());
  EXPECT_GE(fleet.Job(job).rounds_done(), 2u);

  ASSERT_TRUE(fleet.WaitForEnd(job));
  ExpectAllCounted(fleet.Job(job), job_);
  EXPECT_EQ(ModelHash(fleet.Job(job)), expected);
  EXPECT_TRUE(fleet.NobodyTrainedTwice());
}

TEST_P(CoordinatorCrash, WheneverSomethingHasChanged) {
  const EchoBundle bundle{.parameters = 20'000};
  const std::string expected = UndisturbedHash(bundle, job_);

  Deployment fleet(3);
  fleet.WriteBundle(bundle);
  ASSERT_TRUE(fleet.StartCoordinator());
  fleet.StartClients(0, 3);
  const std::string job = fleet.Submit(job_);
  constexpr int kKills = 8;
  using Seen = std::tuple<uint64_t, std::string, uint32_t>;
  Seen seen;
  for (int kill = 0; kill < kKills; ++kill) {
    ASSERT_TRUE(fleet.WaitForJob(job, "a change", [&](const v1::Job& j) {
      const Seen now{j.rounds_done(), j.current().phase(), j.current().reported()};
      return j.state() == v1::JOB_STATE_COMPLETED || now != std::exchange(seen, now);
    }));
    fleet.KillCoordinator();
    ASSERT_TRUE(fleet.StartCoordinator());
  }
  ASSERT_TRUE(fleet.WaitForEnd(job));
  ExpectAllCounted(fleet.Job(job), job_);
  EXPECT_EQ(ModelHash(fleet.Job(job)), expected);
  EXPECT_TRUE(fleet.NobodyTrainedTwice());
}

INSTANTIATE_TEST_SUITE_P(Codings, CoordinatorCrash,
                         testing::Values(Coding{"Raw", "raw_f32", 32},
                                         Coding{"Compressed", "eden:bits=2", 2}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(CoordinatorStop, IsInOrderWhenAsked) {
  Deployment fleet(1);
  fleet.WriteBundle();
  ASSERT_TRUE(fleet.StartCoordinator());
  fleet.StartClient("client-0");
  ASSERT_TRUE(fleet.WaitForClients(1));
  EXPECT_EQ(fleet.coordinator().Stop(), 0);

  ASSERT_TRUE(fleet.StartCoordinator());
  const std::string job = fleet.Submit({.rounds = 2, .goal = 1});
  ASSERT_TRUE(fleet.WaitForEnd(job)) << "the client did not come back";
  EXPECT_EQ(fleet.client("client-0").Stop(), 0);
}

}  // namespace
}  // namespace fedwatt::e2e
