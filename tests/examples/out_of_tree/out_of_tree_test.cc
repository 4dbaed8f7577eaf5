// A coordinator with plug-ins from out of tree runs a job that names them; the one without does
// not know them and says so.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::HasSubstr;

const EchoJob kJob = {.name = "own",
                      .rounds = 3,
                      .goal = 2,
                      .set = {"selector.name=least_busy", "strategy.name=cautious",
                              "strategy.params.share=0.25", "aggregator.name=one_vote_each"}};

TEST(OutOfTree, PluginsOfAProgramRunAJob) {
  Deployment fleet(3);
  fleet.UseCoordinator("tests/coordinator_with_plugins");
  fleet.WriteBundle();
  ASSERT_TRUE(fleet.StartCoordinator());
  fleet.StartClients(0, 3);
  ASSERT_TRUE(fleet.WaitForClients(3));
  const std::string job = fleet.Submit(kJob);
  ASSERT_TRUE(fleet.WaitForEnd(job));
  EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED);
  EXPECT_EQ(fleet.Job(job).rounds_done(), 3u);
  // Three rounds of two. Who is back for the next round is a matter of time, so not who gets them.
  size_t participations = 0;
  for (int i = 0; i < 3; ++i) {
    participations += fleet.Trace("client-" + std::to_string(i)).size();
  }
  EXPECT_EQ(participations, 6u);
}

TEST(OutOfTree, AnotherCoordinatorDoesNotKnowThem) {
  Deployment fleet(1);
  fleet.WriteBundle();
  ASSERT_TRUE(fleet.StartCoordinator());
  const Output refused =
      fleet.Cli({"run", fleet.WriteJobFile(kJob), "--detach", "--set", "selector.name=least_busy"});
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.err, HasSubstr("least_busy"));
  EXPECT_THAT(refused.err, HasSubstr("round_robin")) << "the known ones are listed";
}

}  // namespace
}  // namespace fedwatt::e2e
