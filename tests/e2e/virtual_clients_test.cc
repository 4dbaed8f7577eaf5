// Many clients in one process.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::HasSubstr;

constexpr int kClients = 20;

std::vector<std::string> VirtualCommand(const Deployment& fleet, int clients,
                                        const std::vector<std::string>& more = {},
                                        const std::string& state = "virtual") {
  std::vector<std::string> argv = {BinDir() + "/fedwatt-client",
                                   "--server",
                                   fleet.address(),
                                   "--tls-dir",
                                   fleet.certs(),
                                   "--as",
                                   "client",
                                   "--virtual",
                                   absl::StrCat(clients),
                                   "--state-dir",
                                   fleet.File(state),
                                   "--trusted-key",
                                   fleet.certs() + "/owner.pub",
                                   "--trainer",
                                   "echo",
                                   "--dataset",
                                   "d"};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

TEST(VirtualClients, AreAsManyDevicesToTheCoordinator) {
  Deployment fleet(kClients);
  fleet.WriteBundle();
  ASSERT_TRUE(fleet.StartCoordinator());
  Program clients(VirtualCommand(fleet, kClients), fleet.File("clients.log"));
  ASSERT_TRUE(fleet.WaitForClients(kClients)) << clients.Log();
  const std::string job = fleet.Submit({.rounds = 3, .goal = kClients});
  ASSERT_TRUE(fleet.WaitForEnd(job)) << clients.Log();
  const v1::Job ended = fleet.Job(job);
  EXPECT_EQ(ended.state(), v1::JOB_STATE_COMPLETED);
  EXPECT_EQ(ended.rounds_done(), 3u);
  // Whose joules these are cannot be told, so they are nobody's.
  for (const v1::EnergyTotal& total : ended.energy()) EXPECT_EQ(total.useful_uj(), 0);
  EXPECT_EQ(clients.Stop(), 0);
  EXPECT_THAT(clients.Log(), HasSubstr(absl::StrCat("reported=", 3 * kClients)));
  for (int i = 0; i < kClients; ++i) {
    EXPECT_TRUE(FileExists(absl::StrCat(fleet.File("virtual"), "/", i, "/session")));
  }
}

TEST(VirtualClients, GoOnWhereTheyWereKilled) {
  Deployment fleet(4);
  fleet.WriteBundle();
  ASSERT_TRUE(fleet.StartCoordinator());
  Program clients(VirtualCommand(fleet, 4), fleet.File("clients.log"));
  ASSERT_TRUE(fleet.WaitForClients(4)) << clients.Log();
  const std::string job = fleet.Submit({.rounds = 30, .goal = 4});
  ASSERT_TRUE(
      fleet.WaitForJob(job, "some rounds", [](const v1::Job& j) { return j.rounds_done() >= 3; }));
  clients.Kill();
  clients = Program(VirtualCommand(fleet, 4), fleet.File("clients.log"));
  ASSERT_TRUE(fleet.WaitForEnd(job)) << clients.Log();
  EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED);
}

TEST(VirtualClients, TwoProcessesShareTheNumbers) {
  Deployment fleet(6);
  fleet.WriteBundle();
  ASSERT_TRUE(fleet.StartCoordinator());
  Program low(VirtualCommand(fleet, 3), fleet.File("low.log"));
  ASSERT_TRUE(fleet.WaitForClients(3)) << low.Log();
  const Output locked = RunToEnd({.argv = VirtualCommand(fleet, 3)}, fleet.scratch());
  EXPECT_EQ(locked.code, 7) << "one process to a folder: " << locked.ToString();
  Program high(VirtualCommand(fleet, 3, {"--virtual-first", "3"}, "high"), fleet.File("high.log"));
  ASSERT_TRUE(fleet.WaitForClients(6)) << low.Log() << high.Log();
}

TEST(VirtualClients, SayWhatIsMissing) {
  Deployment fleet(2);
  ASSERT_TRUE(fleet.StartCoordinator());
  const Output missing = RunToEnd({.argv = VirtualCommand(fleet, 3)}, fleet.scratch());
  EXPECT_EQ(missing.code, 5) << missing.ToString();
  EXPECT_THAT(missing.err, HasSubstr("client-2.pem"));
  EXPECT_THAT(missing.err, HasSubstr("virtual client 2"));
  const Output meter =
      RunToEnd({.argv = VirtualCommand(fleet, 2, {"--meter", "rapl"})}, fleet.scratch());
  EXPECT_EQ(meter.code, 2);
  EXPECT_THAT(meter.err, HasSubstr("all --virtual clients share"));
  const Output check = RunToEnd({.argv = VirtualCommand(fleet, 2, {"--check"})}, fleet.scratch());
  EXPECT_EQ(check.code, 0) << check.ToString();
  EXPECT_THAT(check.out, HasSubstr("client-0"));
}

}  // namespace
}  // namespace fedwatt::e2e
