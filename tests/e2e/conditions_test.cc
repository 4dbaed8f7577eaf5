// Devices with a battery, as files of a kernel show it, among processes over mutual TLS.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/common/energy/host_tree.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A phone whose battery is at `percent`.
void SetCharge(const HostTree& tree, int percent) {
  tree.Write("sys/class/power_supply/battery/type", "Battery");
  tree.Write("sys/class/power_supply/battery/status", "Discharging");
  tree.Write("sys/class/power_supply/battery/capacity", percent);
}

std::vector<std::string> Floor(const HostTree& tree) {
  return {"--sysfs-root", tree.root(), "--min-charge", "20", "--condition-check-s", "0.1"};
}

TEST(Conditions, ADeviceBelowItsFloorTakesNoPartUntilItIsAbove) {
  Deployment fleet(2);
  const HostTree phone(fleet.File("phone"));
  SetCharge(phone, 10);
  fleet.WriteBundle();
  ASSERT_TRUE(fleet.StartCoordinator());
  fleet.StartClient("client-0", {.extra = Floor(phone)});
  fleet.StartClient("client-1");
  const std::string first = fleet.Submit({.name = "first", .rounds = 2, .goal = 1});
  ASSERT_TRUE(fleet.WaitForEnd(first));
  EXPECT_EQ(fleet.Job(first).state(), v1::JOB_STATE_COMPLETED) << fleet.Job(first).reason();
  ASSERT_TRUE(
      WaitUntil("the reason", [&] { return !fleet.Events("client-0", "conditions").empty(); }));
  EXPECT_EQ(fleet.Events("client-0", "conditions")[0].value("what", ""),
            "not met: charge 10 %, the floor is 20 %");
  EXPECT_THAT(fleet.Events("client-0", "assigned"), IsEmpty());

  SetCharge(phone, 60);
  ASSERT_TRUE(fleet.WaitForClients(2));
  const std::string second = fleet.Submit({.name = "second", .rounds = 1, .goal = 2});
  ASSERT_TRUE(fleet.WaitForEnd(second));
  EXPECT_EQ(fleet.Job(second).state(), v1::JOB_STATE_COMPLETED) << fleet.Job(second).reason();
  EXPECT_THAT(fleet.Events("client-0", "conditions"), SizeIs(2));
}

// A regression of a line, trained for longer than any test.
TEST(Conditions, ATrainingThatMayNotGoOnStopsAndItsEnergyIsBookedAsWasted) {
  Deployment fleet(1);
  const HostTree phone(fleet.File("phone"));
  SetCharge(phone, 60);
  ASSERT_TRUE(WriteFileAtomic(fleet.File("points.csv"), "x,y\n1,2\n2,4\n3,6\n").ok());
  const Output imported =
      RunToEnd({.argv = {BinDir() + "/fedwatt-torch", "import",
                         BinDir() + "/tests/torch_fixtures/line.pt", "-o", fleet.File("line.fwb"),
                         "--name", "line", "--task", "regression", "--input-shape", "1"}},
               fleet.scratch());
  ASSERT_EQ(imported.code, 0) << imported.ToString();
  ASSERT_TRUE(fleet.StartCoordinator());
  const std::string points =
      absl::StrCat("points=csv:", fleet.File("points.csv"), "?label=y&task=value");
  fleet.StartClient("client-0", {.work = {"--dataset", points}, .extra = Floor(phone)});
  ASSERT_TRUE(fleet.WaitForClients(1));
  const Output submitted =
      fleet.Cli({"run", fleet.WriteJobFile({.name = "line", .rounds = 1, .goal = 1}), "--bundle",
                 fleet.File("line.fwb"), "--key", fleet.certs() + "/owner.key", "--set",
                 "dataset.name=points", "--set", "round.max_attempts=1", "--set",
                 "plan.local_epochs=0", "--set", "plan.local_steps=1000000000", "--detach"});
  ASSERT_EQ(submitted.code, 0) << submitted.ToString();
  ASSERT_TRUE(
      WaitUntil("the training", [&] { return !fleet.Events("client-0", "training").empty(); }));
  SetCharge(phone, 19);
  ASSERT_TRUE(fleet.WaitForEnd("line"));

  const v1::Job job = fleet.Job("line");
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  // The rule is told, the charge is not.
  EXPECT_THAT(job.reason(), HasSubstr("cancelled: the device's own conditions: battery"));
  EXPECT_THAT(job.reason(), ::testing::Not(HasSubstr("19")));
  EXPECT_EQ(fleet.Events("client-0", "conditions")[0].value("what", ""),
            "not met: charge 19 %, the floor is 20 %");
  int64_t wasted_uj = 0;
  uint64_t samples = 0;
  for (const v1::EnergyTotal& total : job.energy()) {
    EXPECT_EQ(total.useful_uj(), 0) << total.source();
    wasted_uj += total.wasted_uj();
    samples += total.samples();
  }
  EXPECT_GT(samples, 0);
  EXPECT_GT(wasted_uj, 0);
  EXPECT_TRUE(fleet.client("client-0").running());
}

}  // namespace
}  // namespace fedwatt::e2e
