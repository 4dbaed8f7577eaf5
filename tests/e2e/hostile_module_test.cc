// Models that mean harm, signed by somebody who should not have: the client says what happened, its
// neighbours and the coordinator go on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

class HostileModule : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteFileAtomic(fleet_.File("points.csv"), "x,y\n1,2\n2,4\n3,6\n").ok());
    fleet_.WriteBundle({.file = "harmless.fwb"});
    ASSERT_TRUE(fleet_.StartCoordinator());
    const ClientOptions torch{
        .work = {"--dataset",
                 absl::StrCat("points=csv:", fleet_.File("points.csv"), "?label=y&task=value"),
                 "--memory-limit", "1GiB"}};
    fleet_.StartClients(0, 2, torch);
    fleet_.StartClient("client-2");
    ASSERT_TRUE(fleet_.WaitForClients(3));
  }

  // Runs the module on two clients until the job gives up; gives its reason.
  std::string RunHostile(const std::string& module) {
    const std::string bundle = BinDir() + "/tests/torch_fixtures/" + module + ".fwb";
    const Output run = fleet_.Cli(
        {"run", fleet_.WriteJobFile({.name = module, .rounds = 1, .goal = 2}), "--bundle", bundle,
         "--key", fleet_.certs() + "/owner.key", "--set", "dataset.name=points", "--set",
         "round.max_attempts=1", "--set", "plan.step_time_limit_ms=1500", "--json"});
    EXPECT_EQ(run.code, 1) << run.ToString();
    return fleet_.Job(module).reason();
  }

  // The fleet serves a decent job after it.
  void ExpectEverybodyAlive() {
    for (const std::string id : {"client-0", "client-1", "client-2"}) {
      EXPECT_TRUE(fleet_.client(id).running()) << id;
    }
    const std::string job =
        fleet_.Submit({.name = "decent", .bundle = "harmless.fwb", .rounds = 1, .goal = 1});
    ASSERT_TRUE(fleet_.WaitForEnd(job));
    EXPECT_EQ(fleet_.Job(job).state(), v1::JOB_STATE_COMPLETED) << fleet_.Job(job).reason();
    EXPECT_TRUE(fleet_.WaitForClients(3)) << "the victims are not back";
  }

  void ExpectFailureSaying(const std::string& said) {
    for (const std::string id : {"client-0", "client-1"}) {
      // The second one's failure may come after the job's.
      ASSERT_TRUE(WaitUntil("the failure", [&] { return !fleet_.Events(id, "failed").empty(); }));
      EXPECT_THAT(fleet_.Events(id, "failed")[0].value("what", ""), testing::ContainsRegex(said))
          << id;
    }
  }

  Deployment fleet_{3};
};

TEST_F(HostileModule, AnEndlessLoopIsKilledByTheWatchdog) {
  const std::string reason = RunHostile("loops");
  EXPECT_THAT(reason, testing::HasSubstr("step"));
  ExpectFailureSaying("1500 ms|1\\.5 s|step");
  ExpectEverybodyAlive();
}

TEST_F(HostileModule, ATerabyteIsNotAllocated) {
  const std::string reason = RunHostile("allocates");
  EXPECT_THAT(reason, testing::HasSubstr("memory"));
  ExpectFailureSaying("memory");
  ExpectEverybodyAlive();
}

}  // namespace
}  // namespace fedwatt::e2e
