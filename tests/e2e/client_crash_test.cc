// kill -9 of a client: its work is found again on the state folder, and done once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/e2e/cut_proxy.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::SizeIs;

// Trains for some seconds: long enough to be killed in the middle, short enough to be done twice.
void MakeSlowModel(Deployment& fleet) {
  const Output made =
      RunToEnd({.argv = {BinDir() + "/fedwatt-torch", "new", "mlp", "-o", fleet.File("model.fwb"),
                         "--key", fleet.certs() + "/owner.key"}},
               fleet.scratch());
  ASSERT_EQ(made.code, 0) << made.ToString();
}

ClientOptions TorchClient() {
  return {.work = {"--dataset",
                   "d=idx:/usr/share/datasets/fashion-mnist?split=test&partition=iid&clients=10&"
                   "client=0&seed=1"}};
}

TEST(ClientCrash, DuringTrainingBeginsItAgain) {
  Deployment fleet(1);
  MakeSlowModel(fleet);
  ASSERT_TRUE(fleet.StartCoordinator());
  fleet.StartClient("client-0", TorchClient());
  ASSERT_TRUE(fleet.WaitForClients(1));
  const std::string job = fleet.Submit({.rounds = 1, .goal = 1, .set = {"plan.local_epochs=40"}});
  ASSERT_TRUE(
      WaitUntil("the training", [&] { return !fleet.Events("client-0", "training").empty(); }));
  fleet.client("client-0").Kill();
  fleet.StartClient("client-0", TorchClient());
  ASSERT_TRUE(fleet.WaitForEnd(job));

  EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED) << fleet.Job(job).reason();
  EXPECT_EQ(fleet.Job(job).rounds(0).key().attempt(), 1u);
  const auto trace = fleet.Trace("client-0");
  ASSERT_THAT(trace, SizeIs(1));
  EXPECT_EQ(trace.begin()->second.started, 2);
  EXPECT_EQ(trace.begin()->second.trained, 1);
  EXPECT_EQ(trace.begin()->second.reported, 1);
  EXPECT_THAT(fleet.Events("client-0", "recovered"), SizeIs(1));
}

// Runs a job of one round that trains for a while; with `killed`, kills the client once
// a checkpoint is there, and starts it again. The model's hash in the end.
std::string TrainedHash(bool killed) {
  Deployment fleet(1);
  MakeSlowModel(fleet);
  EXPECT_TRUE(fleet.StartCoordinator());
  ClientOptions options = TorchClient();
  options.extra = {"--checkpoint-every-s", "0.02"};
  fleet.StartClient("client-0", options);
  EXPECT_TRUE(fleet.WaitForClients(1));
  const std::string job = fleet.Submit({.rounds = 1, .goal = 1, .set = {"plan.local_epochs=40"}});
  if (killed) {
    const std::string assignments = fleet.File("state-client-0") + "/assignments";
    EXPECT_TRUE(WaitUntil("a checkpoint", [&] {
      const auto files = ListDir(assignments);
      return files.ok() && std::any_of(files->begin(), files->end(), [](const std::string& name) {
               return name.ends_with(".checkpoint");
             });
    }));
    fleet.client("client-0").Kill();
    fleet.StartClient("client-0", options);
  }
  EXPECT_TRUE(fleet.WaitForEnd(job));
  EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED) << fleet.Job(job).reason();
  EXPECT_EQ(fleet.Job(job).rounds(0).key().attempt(), 1u);
  const auto trained = fleet.Events("client-0", "trained");
  EXPECT_THAT(trained, SizeIs(1));
  for (const nlohmann::json& event : trained) {
    EXPECT_EQ(event.value("what", ""), killed ? "went on from a checkpoint" : "in one go");
  }
  return ModelHash(fleet.Job(job));
}

TEST(ClientCrash, DuringTrainingGoesOnFromItsCheckpointToTheSameBits) {
  EXPECT_EQ(TrainedHash(true), TrainedHash(false));
}

TEST(ClientCrash, AfterTrainingSendsWhatItHas) {
  constexpr uint64_t kParameters = 300'000;
  Deployment fleet(2);
  fleet.WriteBundle({.parameters = kParameters});
  ASSERT_TRUE(fleet.StartCoordinator());
  CutProxy proxy(fleet.port());
  const ClientOptions through{.server = proxy.address()};
  fleet.StartClient("client-0", through);
  fleet.StartClient("client-1");
  ASSERT_TRUE(fleet.WaitForClients(2));
  // The check-in's answer arrives; of the update next to nothing leaves.
  proxy.HoldAfter(CutProxy::kUp, proxy.bytes(CutProxy::kUp) + kParameters);
  const std::string job = fleet.Submit({.rounds = 2, .goal = 2});
  ASSERT_TRUE(WaitUntil("the encoded update",
                        [&] { return !fleet.Events("client-0", "encoded").empty(); }));
  // Twice, to see that recovery itself can be killed.
  fleet.client("client-0").Kill();
  fleet.StartClient("client-0", through);
  ASSERT_TRUE(
      WaitUntil("the recovery", [&] { return !fleet.Events("client-0", "recovered").empty(); }));
  fleet.client("client-0").Kill();
  proxy.Release();
  fleet.StartClient("client-0", through);
  ASSERT_TRUE(fleet.WaitForEnd(job));

  EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED) << fleet.Job(job).reason();
  EXPECT_EQ(fleet.Job(job).rounds(0).key().attempt(), 1u);
  EXPECT_EQ(fleet.Job(job).rounds(0).reported(), 2u);
  EXPECT_TRUE(fleet.NobodyTrainedTwice());
  EXPECT_THAT(fleet.Trace("client-0"), SizeIs(2));
}

TEST(ClientCrash, AStateFolderServesOneClientAtATime) {
  Deployment fleet(1);
  ASSERT_TRUE(fleet.StartCoordinator());
  fleet.StartClient("client-0");
  ASSERT_TRUE(fleet.WaitForClients(1));
  const Output second = RunToEnd(
      {.argv = fleet.ClientCommand("client-0", {}), .timeout_ms = 10'000}, fleet.scratch());
  EXPECT_EQ(second.code, 7) << second.ToString();
  EXPECT_THAT(second.err, testing::HasSubstr(absl::StrCat(fleet.client("client-0").pid())));
}

}  // namespace
}  // namespace fedwatt::e2e
