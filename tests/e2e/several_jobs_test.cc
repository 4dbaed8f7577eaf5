// Several jobs on one fleet, and what an operator does with them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/hex.h"
#include "common/bundle/bundle.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class SeveralJobs : public testing::Test {
 protected:
  void SetUp() override {
    fleet_.WriteBundle();
    ASSERT_TRUE(fleet_.StartCoordinator());
  }

  std::vector<std::string> Listed(const std::vector<std::string>& flags) {
    std::vector<std::string> args = {"list", "--json"};
    args.insert(args.end(), flags.begin(), flags.end());
    const Output list = fleet_.Cli(args);
    EXPECT_EQ(list.code, 0) << list.ToString();
    const nlohmann::json answer = list.Json();
    std::vector<std::string> ids;
    for (const auto& job : answer.at("jobs")) ids.push_back(job["id"]);
    return ids;
  }

  Deployment fleet_{2};
};

TEST_F(SeveralJobs, TheHigherPriorityGetsTheClientsFirst) {
  const std::string low = fleet_.Submit({.name = "low", .rounds = 4, .goal = 2});
  const std::string high =
      fleet_.Submit({.name = "high", .rounds = 4, .goal = 2, .set = {"priority=5"}});
  // Both want both clients from the first moment on.
  fleet_.StartClients(0, 2);
  ASSERT_TRUE(fleet_.WaitForEnd(low));
  ASSERT_TRUE(fleet_.WaitForEnd(high));
  EXPECT_EQ(fleet_.Job(low).state(), v1::JOB_STATE_COMPLETED);
  EXPECT_EQ(fleet_.Job(high).state(), v1::JOB_STATE_COMPLETED);
  EXPECT_LT(fleet_.Job(high).ended_ms(), fleet_.Job(low).ended_ms());
  EXPECT_NE(ModelHash(fleet_.Job(high)), ModelHash(fleet_.Job(low)));
  EXPECT_THAT(Listed({"--all"}), UnorderedElementsAre(low, high));
  EXPECT_TRUE(fleet_.NobodyTrainedTwice());
}

TEST_F(SeveralJobs, OneThatWaitsForClientsDoesNotKeepTheOtherFromThem) {
  const std::string waits =
      fleet_.Submit({.name = "waits", .goal = 2, .set = {"priority=5", "dataset.name=elsewhere"}});
  const std::string runs = fleet_.Submit({.name = "runs", .rounds = 2, .goal = 2});
  fleet_.StartClients(0, 2);
  ASSERT_TRUE(fleet_.WaitForEnd(runs));
  EXPECT_EQ(fleet_.Job(waits).state(), v1::JOB_STATE_RUNNING);
  EXPECT_THAT(Listed({}), ElementsAre(waits));
}

TEST_F(SeveralJobs, AStoppedJobGoesOnFromItsLastCommit) {
  const std::string job = fleet_.Submit({.rounds = 100'000, .goal = 2});
  fleet_.StartClients(0, 2);
  ASSERT_TRUE(
      fleet_.WaitForJob(job, "two rounds", [](const v1::Job& j) { return j.rounds_done() >= 2; }));
  const Output stop = fleet_.Cli({"stop", job, "--reason", "wrong data", "--json"});
  ASSERT_EQ(stop.code, 0) << stop.ToString();
  EXPECT_EQ(stop.Json()["state"], "stopped");
  EXPECT_THAT(fleet_.Job(job).reason(), HasSubstr("wrong data"));
  const uint64_t rounds = fleet_.Job(job).rounds_done();
  const Output watch = fleet_.Cli({"watch", job, "--json"});
  EXPECT_EQ(watch.code, 1) << watch.ToString();

  // Still stopped after a restart.
  fleet_.KillCoordinator();
  ASSERT_TRUE(fleet_.StartCoordinator());
  EXPECT_EQ(fleet_.Job(job).state(), v1::JOB_STATE_STOPPED);
  EXPECT_EQ(fleet_.Job(job).rounds_done(), rounds);

  const Output resume = fleet_.Cli({"resume", job, "--json"});
  ASSERT_EQ(resume.code, 0) << resume.ToString();
  EXPECT_EQ(resume.Json()["state"], "running");
  ASSERT_TRUE(fleet_.WaitForJob(job, "another round",
                                [&](const v1::Job& j) { return j.rounds_done() > rounds; }));
  EXPECT_EQ(fleet_.Cli({"stop", job}).code, 0);
}

TEST_F(SeveralJobs, WatchTellsEveryRoundOnceAndInOrder) {
  const std::string job = fleet_.Submit({.rounds = 5, .goal = 2});
  Program watch(fleet_.CliCommand({"watch", job, "--json"}), fleet_.File("watch.jsonl"));
  fleet_.StartClients(0, 2);
  ASSERT_EQ(watch.WaitForExit(60'000), 0) << watch.Log();
  std::vector<uint64_t> committed;
  uint64_t sequence = 0;
  nlohmann::json last;
  for (const nlohmann::json& event : Output{.out = watch.Log()}.JsonLines()) {
    ASSERT_TRUE(event.is_object()) << watch.Log();
    EXPECT_GE(event["sequence"], sequence);
    sequence = event["sequence"];
    if (event.contains("committed")) committed.push_back(event["committed"]["key"]["round"]);
    last = event;
  }
  EXPECT_THAT(committed, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(last["job"]["state"], "completed");
}

TEST_F(SeveralJobs, WatchSurvivesARestartOfTheCoordinator) {
  const std::string job = fleet_.Submit({.rounds = 3, .goal = 2});
  Program watch(fleet_.CliCommand({"watch", job}), fleet_.File("watch.txt"));
  fleet_.StartClient("client-0");
  ASSERT_TRUE(fleet_.WaitForClients(1));
  fleet_.KillCoordinator();
  ASSERT_TRUE(WaitUntil("the watcher to notice", [&] {
    return watch.Log().find("the coordinator is away") != std::string::npos;
  }));
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.StartClient("client-1");
  EXPECT_EQ(watch.WaitForExit(60'000), 0);
  EXPECT_THAT(watch.Log(), HasSubstr("round 3/3  committed"));
}

TEST_F(SeveralJobs, TheReportAndTheExportedModelAgree) {
  const std::string job = fleet_.Submit({.rounds = 3, .goal = 2});
  fleet_.StartClients(0, 2);
  ASSERT_TRUE(fleet_.WaitForEnd(job));

  const Output report = fleet_.Cli({"report", job, "--json", "-o", fleet_.File("report.json")});
  ASSERT_EQ(report.code, 0) << report.ToString();
  const std::string written = ReadFile(fleet_.File("report.json"), 1 << 20).value_or("");
  EXPECT_EQ(report.Json(), nlohmann::json::parse(written, nullptr, false));

  const std::string path = fleet_.File("trained.fwb");
  const Output save = fleet_.Cli({"export", job, "-o", path, "--json"});
  ASSERT_EQ(save.code, 0) << save.ToString();
  EXPECT_EQ(save.Json()["path"], path);
  const auto bundle = Bundle::Open(path);
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_EQ(DigestHex((*bundle)->tensors_sha256()), ModelHash(fleet_.Job(job)));
  const PublicKey owner = PublicKey::Load(fleet_.certs() + "/owner.pub").value();
  EXPECT_TRUE((*bundle)->VerifySignedBy({&owner, 1}).ok()) << "the export lost the signature";
}

TEST_F(SeveralJobs, AJobStartsFromTheModelOfAnother) {
  const std::string first = fleet_.Submit({.name = "first", .rounds = 2, .goal = 2});
  fleet_.StartClients(0, 2);
  ASSERT_TRUE(fleet_.WaitForEnd(first));
  const std::string second =
      fleet_.Submit({.name = "second",
                     .rounds = 1,
                     .goal = 2,
                     .set = {"model.warm_start=" + first, "model.warm_start_version=last"}});
  ASSERT_TRUE(fleet_.WaitForEnd(second));
  ASSERT_EQ(fleet_.Job(second).state(), v1::JOB_STATE_COMPLETED) << fleet_.Job(second).reason();
  EXPECT_EQ(fleet_.Job(second).rounds(0).model().parent(), fleet_.Job(first).last().sha256());
}

TEST_F(SeveralJobs, TheSameRequestIdIsTheSameJob) {
  const std::string file = fleet_.WriteJobFile({.goal = 2});
  const Output one = fleet_.Cli({"run", file, "--detach", "--json", "--request-id", "r1"});
  const Output again = fleet_.Cli({"run", file, "--detach", "--json", "--request-id", "r1"});
  ASSERT_EQ(one.code, 0) << one.ToString();
  ASSERT_EQ(again.code, 0) << again.ToString();
  EXPECT_EQ(one.Json()["id"], again.Json()["id"]);
  EXPECT_EQ(Listed({"--all"}).size(), 1u);
}

}  // namespace
}  // namespace fedwatt::e2e
