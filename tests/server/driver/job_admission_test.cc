#include "absl/strings/str_cat.h"
#include "common/bundle/bundle.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::HasSubstr;

class JobAdmission : public ::testing::Test {
 protected:
  JobAdmission() { world_.StartCoordinator(); }

  absl::Status Submit(const JobSpec& spec) {
    return world_.coordinator().SubmitJob(spec, world_.AddBundle(), "").status();
  }
  std::string Refusal(const JobSpec& spec) { return std::string(Submit(spec).message()); }

  TestWorld world_;
};

TEST_F(JobAdmission, TheSameRequestGivesTheSameJobAlsoAfterARestart) {
  const Digest bundle = world_.AddBundle();
  const auto first = world_.coordinator().SubmitJob(world_.Spec(1), bundle, "r1");
  const auto again = world_.coordinator().SubmitJob(world_.Spec(1), bundle, "r1");
  const auto other = world_.coordinator().SubmitJob(world_.Spec(1), bundle, "r2");
  ASSERT_TRUE(first.ok() && again.ok() && other.ok());
  EXPECT_EQ(again->id, "job-1");
  EXPECT_EQ(other->id, "job-2");
  world_.StartCoordinator();
  EXPECT_EQ(world_.coordinator().SubmitJob(world_.Spec(1), bundle, "r1")->id, "job-1");
  EXPECT_EQ(world_.coordinator().ListJobs(false).size(), 2u);
}

TEST_F(JobAdmission, ABundleThatWasNeverUploaded) {
  const Digest unknown = Sha256Of(AsBytes("?"));
  const auto job = world_.coordinator().SubmitJob(world_.Spec(1), unknown, "");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(
      std::string(job.status().message()),
      absl::StrCat("no bundle ", DigestHex(unknown), " on this coordinator; upload it again"));
}

TEST_F(JobAdmission, ACorruptBundleNamesFileAndHash) {
  world_.AddBundle();
  const std::string path = absl::StrCat(world_.dir(), "/line.fwb");
  std::string bytes = *ReadFile(path, 1 << 20);
  bytes.back() ^= 1;
  ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
  Digest digest;
  const auto added = world_.coordinator().AddBundle(path, &digest);
  EXPECT_EQ(added.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(added.status().message()), HasSubstr(path));
  ASSERT_TRUE(WriteFileAtomic(path, bytes.substr(0, 30)).ok());
  EXPECT_FALSE(world_.coordinator().AddBundle(path, &digest).ok());
  EXPECT_FALSE(world_.coordinator().AddBundle(absl::StrCat(path, ".gone"), &digest).ok());
}

TEST_F(JobAdmission, NamesThatNoRegistryKnows) {
  JobSpec spec = world_.Spec(1);
  spec.selector.name = "unifrom";
  EXPECT_THAT(Refusal(spec), HasSubstr("uniform"));
  spec = world_.Spec(1);
  spec.strategy.name = "fedavgg";
  EXPECT_THAT(Refusal(spec), HasSubstr("fedavg"));
  spec = world_.Spec(1);
  spec.aggregator.name = "maen";
  EXPECT_THAT(Refusal(spec), HasSubstr("mean"));
  spec = world_.Spec(1);
  spec.codec.up = "raw_f23";
  EXPECT_THAT(Refusal(spec), HasSubstr("raw_f32"));
  spec = world_.Spec(1);
  spec.codec.down = "zstd";
  EXPECT_THAT(Refusal(spec), HasSubstr("codec.down: unknown codec \"zstd\""));
}

TEST_F(JobAdmission, BoundsThatLeaveNoPrecision) {
  JobSpec spec = world_.Spec(1000);
  spec.bounds.max_abs_delta = 1e9;
  spec.bounds.max_weight = 1 << 30;
  const absl::Status refused = Submit(spec);
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_abs_delta"));
}

TEST_F(JobAdmission, FrozenTensorsThatAreNot) {
  JobSpec spec = world_.Spec(1);
  spec.plan.frozen = {"v*"};
  EXPECT_THAT(Refusal(spec), HasSubstr("\"v*\" matches no trainable tensor"));
}

TEST_F(JobAdmission, TooManyJobs) {
  world_.options.max_jobs = 1;
  world_.StartCoordinator();
  ASSERT_TRUE(Submit(world_.Spec(1)).ok());
  const absl::Status refused = Submit(world_.Spec(1));
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(refused.message()),
            "1 jobs run already, the limit of this coordinator (max_jobs); stop one or wait for "
            "its end");
}

TEST_F(JobAdmission, AJobThatCannotBeWrittenIsNoJob) {
  world_.memory->SetFault([](const std::vector<StoreWrite>&) {
    return absl::ResourceExhaustedError("the disk is full");
  });
  EXPECT_EQ(Refusal(world_.Spec(1)), "the job could not be kept: the disk is full");
  EXPECT_TRUE(world_.coordinator().ListJobs(true).empty());
  world_.memory->SetFault(nullptr);
  EXPECT_TRUE(Submit(world_.Spec(1)).ok());
}

TEST_F(JobAdmission, JobsAreFoundByIdOrUniqueName) {
  ASSERT_TRUE(Submit(world_.Spec(1)).ok());
  EXPECT_EQ(world_.coordinator().GetJob("job")->id, "job-1");
  ASSERT_TRUE(Submit(world_.Spec(1)).ok());
  EXPECT_EQ(std::string(world_.coordinator().GetJob("job").status().message()),
            "\"job\" names 2 jobs: job-1, job-2; give the id");
  EXPECT_EQ(std::string(world_.coordinator().GetJob("jbo-1").status().message()),
            "no job \"jbo-1\"; did you mean \"job-1\"?");
}

TEST_F(JobAdmission, AWarmStartBeginsWithTheEarlierJobsModel) {
  world_.AddClients(1);
  ASSERT_TRUE(Submit(world_.Spec(1)).ok());
  const JobView first = world_.RunToEnd("job-1");
  JobSpec spec = world_.Spec(1);
  spec.name = "next";
  spec.model.warm_start = "job";
  ASSERT_TRUE(Submit(spec).ok());
  world_.RunToEnd("next-1");
  const Assignment& assignment = world_.clients[0]->assignments.at(3);
  EXPECT_EQ(assignment.key.job, "next-1");
  EXPECT_EQ(assignment.base.sha256, first.best.sha256);
  spec.model.warm_start_version = "1";
  EXPECT_EQ(Refusal(spec),
            "model.warm_start = \"job\": job job-1 keeps no model of round 1; kept are 2, 3 "
            "(retention in the job file says which)");
  spec.model.warm_start = "jib";
  EXPECT_THAT(Refusal(spec), HasSubstr("model.warm_start = \"jib\": no job \"jib\""));
}

TEST_F(JobAdmission, AWarmStartFromAnotherModelNamesTheFirstDifference) {
  ASSERT_TRUE(Submit(world_.Spec(1)).ok());
  JobSpec spec = world_.Spec(1);
  spec.model.warm_start = "job-1";
  const Digest other = world_.AddBundle(17);
  EXPECT_EQ(std::string(world_.coordinator().SubmitJob(spec, other, "").status().message()),
            "model.warm_start = \"job-1\": tensor 0 of the bundle is \"w\" float32[17], in the "
            "model to start from it is \"w\" float32[16]");
}

TEST_F(JobAdmission, RetentionKeepsTheLastTheBestAndTheMilestones) {
  world_.AddClients(1);
  FakeClient* judge = world_.AddClient({.name = "judge", .role = Role::kEvaluator});
  judge->train = [&](const Assignment& assignment) {
    FakeWork work = judge->DefaultWork(assignment);
    work.report.metrics.after->correct = assignment.key.round == 3 ? 99 : 1;
    return work;
  };
  JobSpec spec = world_.Spec(1);
  spec.rounds = 9;
  spec.evaluation.every = 1;
  spec.retention.keep_every = 5;
  ASSERT_TRUE(Submit(spec).ok());
  const JobView job = world_.RunToEnd("job-1");
  const auto expect_kept = [&] {
    const std::string path = absl::StrCat(world_.dir(), "/export.fwb");
    for (const int version : {0, 3, 5, 8, 9}) {
      EXPECT_EQ(world_.coordinator().ExportModel("job-1", absl::StrCat(version), path),
                absl::OkStatus());
    }
    const absl::Status gone = world_.coordinator().ExportModel("job-1", "7", path);
    EXPECT_EQ(gone.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(std::string(gone.message()),
              "job job-1 keeps no model of round 7; kept are 0, 3, 5, 8, 9 (retention in the job "
              "file says which)");
    ASSERT_EQ(world_.coordinator().ExportModel("job-1", "best", path), absl::OkStatus());
    const auto bundle = Bundle::Open(path);
    ASSERT_TRUE(bundle.ok());
    EXPECT_EQ((*bundle)->tensors_sha256(), job.best.sha256);
    EXPECT_EQ(job.best.version, 3u);
  };
  expect_kept();
  // Five models and the bundle (its list of parts belongs to no job and goes at a restart).
  world_.StartCoordinator();
  EXPECT_EQ(world_.blobs->List()->size(), 6u);
  expect_kept();
}

}  // namespace
}  // namespace fedwatt::testing
