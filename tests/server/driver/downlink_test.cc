// What clients get of a job whose codec.down is lossy.

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kParameters = 4000;
constexpr uint64_t kModelBytes = kParameters * sizeof(float);
constexpr char kDown[] = "topk:fraction=0.02";

class Downlink : public ::testing::Test {
 protected:
  Downlink() { world_.StartCoordinator(); }

  JobSpec Spec(uint32_t goal) const {
    JobSpec spec = world_.Spec(goal);
    spec.codec.down = kDown;
    return spec;
  }

  JobView Submit(const JobSpec& spec) {
    auto job = world_.coordinator().SubmitJob(spec, world_.AddBundle(kParameters, false, 0.3f), "");
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(JobView{});
  }

  FakeClient* Add(FakeClient::Options options) {
    options.codecs = {"raw_f32", "topk", "f16"};
    return world_.AddClient(std::move(options));
  }

  FakeClient* Add(const std::string& name) { return Add(FakeClient::Options{.name = name}); }

  static uint64_t PayloadBytes(const Assignment& assignment) {
    uint64_t bytes = 0;
    for (const ModelStep& step : assignment.model_steps) bytes += step.payload.size;
    return bytes;
  }

  static bool IsWhole(const Assignment& assignment) {
    return assignment.model_steps.size() == 1 && assignment.model_steps[0].base == Digest{};
  }

  // The file that holds a blob.
  std::string PathOf(const Digest& sha256) const {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(absl::StrCat(world_.dir(), "/blobs"))) {
      if (!entry.is_regular_file()) continue;
      if (DigestHex(sha256).ends_with(entry.path().filename().string())) {
        return entry.path().string();
      }
    }
    return "";
  }

  TestWorld world_;
};

TEST_F(Downlink, TheJobKeepsTheExactModel) {
  const auto run = [](const std::string& down) {
    TestWorld world;
    world.StartCoordinator();
    for (int i = 0; i < 3; ++i) {
      world.AddClient({.name = absl::StrCat("device-", i), .codecs = {"raw_f32", "topk"}});
    }
    JobSpec spec = world.Spec(3);
    spec.codec.down = down;
    EXPECT_TRUE(world.coordinator().SubmitJob(spec, world.AddBundle(kParameters), "").ok());
    const JobView job = world.RunToEnd("job-1");
    EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
    return job.last.sha256;
  };
  // The devices of this fleet make the same updates whatever they start from.
  EXPECT_EQ(DigestHex(run(kDown)), DigestHex(run("raw_f32")));
}

TEST_F(Downlink, NewClientsGetTheWholeModelAndThoseThatWereThereTheStep) {
  FakeClient* const faithful = Add("faithful");
  FakeClient* const forgetful = Add(FakeClient::Options{.name = "forgetful", .models_kept = 0});
  Submit(Spec(2));
  const JobView job = world_.RunToEnd("job-1");
  ASSERT_THAT(job.rounds, SizeIs(3));
  ASSERT_THAT(faithful->assignments, SizeIs(3));
  ASSERT_THAT(forgetful->assignments, SizeIs(3));
  uint64_t sent = 0;
  for (size_t i = 0; i < 3; ++i) {
    const Assignment& behind = faithful->assignments[i];
    const Assignment& anew = forgetful->assignments[i];
    EXPECT_EQ(behind.base.sha256, anew.base.sha256) << "one fleet";
    EXPECT_EQ(behind.base.version, i);
    EXPECT_EQ(anew.model.sha256, anew.base.sha256);
    EXPECT_EQ(anew.model.size, kModelBytes);
    EXPECT_TRUE(IsWhole(anew));
    EXPECT_EQ(IsWhole(behind), i == 0);
    EXPECT_THAT(behind.model_steps, SizeIs(1));
    EXPECT_THAT(anew.model.inline_data, IsEmpty());
    EXPECT_THAT(behind.model.inline_data, IsEmpty());
    EXPECT_THAT(behind.bundle.inline_data, IsEmpty()) << "clients keep it";
    EXPECT_LT(PayloadBytes(anew), kModelBytes / 2);
    if (i > 0) {
      EXPECT_LT(PayloadBytes(behind), PayloadBytes(anew) / 3);
    }
    sent += PayloadBytes(anew) + PayloadBytes(behind);
  }
  EXPECT_EQ(job.bytes_down, sent);
  EXPECT_THAT(faithful->errors, IsEmpty());
  EXPECT_THAT(forgetful->errors, IsEmpty());
  EXPECT_NE(faithful->assignments[2].base.sha256, job.rounds[1].model.sha256)
      << "clients work on the broadcast model, the job's is exact";
}

TEST_F(Downlink, AClientThatMissedRoundsGetsTheStepsThatItLacks) {
  JobSpec spec = Spec(1);
  spec.rounds = 5;
  spec.eligibility.min_separation_rounds = 3;
  for (int i = 0; i < 4; ++i) Add(absl::StrCat("device-", i));
  Submit(spec);
  EXPECT_EQ(world_.RunToEnd("job-1").rounds_done, 5u);
  for (const auto& client : world_.clients) {
    if (client->assignments.size() < 2) continue;
    const Assignment& second = client->assignments[1];
    EXPECT_EQ(second.model_steps.size(), second.base.version - client->assignments[0].base.version);
    EXPECT_EQ(second.model_steps[0].base, client->assignments[0].base.sha256);
    EXPECT_THAT(client->errors, IsEmpty());
    return;
  }
  FAIL() << "nobody worked twice";
}

TEST_F(Downlink, AReportAboutAnotherModelIsRefused) {
  FakeClient* const client = Add("device-0");
  Digest exact{};
  client->train = [&](const Assignment& assignment) {
    FakeWork work = client->DefaultWork(assignment);
    if (assignment.key.round == 2) {
      exact = world_.coordinator().GetJob("job-1")->last.sha256;
      work.report.base_sha256 = exact;
    }
    return work;
  };
  JobSpec spec = Spec(1);
  spec.round.max_attempts = 1;
  Submit(spec);
  const JobView job = world_.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kFailed);
  ASSERT_THAT(client->assignments, SizeIs(2));
  EXPECT_THAT(job.reason, AllOf(HasSubstr(DigestHex(exact)),
                                HasSubstr(DigestHex(client->assignments[1].base.sha256))));
}

TEST_F(Downlink, AClientWithoutTheCodecGetsTheFlatModel) {
  FakeClient* const old = world_.AddClient({.name = "old"});
  FakeClient* const present = Add("present");
  Submit(Spec(2));
  EXPECT_EQ(world_.RunToEnd("job-1").rounds_done, 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Assignment& assignment = old->assignments.at(i);
    EXPECT_THAT(assignment.model_steps, IsEmpty());
    EXPECT_THAT(assignment.model.inline_data, SizeIs(kModelBytes));
    EXPECT_EQ(assignment.base.sha256, present->assignments.at(i).base.sha256);
  }
}

TEST_F(Downlink, TheFlatModelIsThereForAClientThatFindsNoWay) {
  FakeClient* const client = Add("device-0");
  client->train = [](const Assignment&) { return std::nullopt; };
  Submit(Spec(1));
  world_.RunFor(100);
  const Assignment& assignment = client->assignments.at(0);
  const auto flat = world_.coordinator().OpenBlob(client->principal(), assignment.model.sha256);
  ASSERT_TRUE(flat.ok()) << flat.status();
  EXPECT_EQ(Sha256Of((*flat)->bytes()), assignment.base.sha256);
  const Digest payload = assignment.model_steps.at(0).payload.sha256;
  EXPECT_TRUE(world_.coordinator().OpenBlob(client->principal(), payload).ok());
  FakeClient* const other = Add("other");
  EXPECT_EQ(world_.coordinator().OpenBlob(other->principal(), payload).status().code(),
            absl::StatusCode::kPermissionDenied);
  // The job's own model is nobody's but the operator's.
  const Digest exact = world_.coordinator().GetJob("job-1")->last.sha256;
  ASSERT_NE(exact, assignment.base.sha256);
  EXPECT_EQ(world_.coordinator().OpenBlob(client->principal(), exact).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(Downlink, NothingIsSentToAClientThatHoldsTheModel) {
  FakeClient* const client = Add("device-0");
  int failures = 0;
  client->train = [&](const Assignment& assignment) {
    FakeWork work = client->DefaultWork(assignment);
    if (failures++ > 0) return work;
    work.report.status = ReportStatus::kFailed;
    work.report.error = "first try";
    work.update.clear();
    return work;
  };
  JobSpec spec = Spec(1);
  spec.rounds = 1;
  Submit(spec);
  EXPECT_EQ(world_.RunToEnd("job-1").state, JobState::kCompleted);
  const Assignment& again = client->assignments.at(1);
  EXPECT_EQ(again.key.attempt, 2u);
  EXPECT_THAT(again.model_steps, IsEmpty());
  EXPECT_THAT(again.model.inline_data, IsEmpty());
  EXPECT_EQ(again.model.sha256, client->assignments.at(0).base.sha256);
}

TEST_F(Downlink, LargePayloadsAreNamedByHash) {
  FakeClient* const client = Add(FakeClient::Options{.name = "device-0", .models_kept = 0});
  JobSpec spec = Spec(1);
  spec.codec.down = "f16";
  ASSERT_TRUE(world_.coordinator().SubmitJob(spec, world_.AddBundle(600'000), "").ok());
  EXPECT_EQ(world_.RunToEnd("job-1").state, JobState::kCompleted);
  EXPECT_THAT(client->errors, IsEmpty());
  // Version 0 is all zero, hence small; the others have a byte or so for each parameter.
  ASSERT_THAT(client->assignments, SizeIs(3));
  for (const Assignment& assignment : client->assignments) {
    ASSERT_TRUE(IsWhole(assignment));
    const Resource& payload = assignment.model_steps[0].payload;
    EXPECT_EQ(payload.size > bounds::kMaxInlineBytes, assignment.base.version > 0);
    EXPECT_EQ(payload.inline_data.empty(), assignment.base.version > 0);
  }
}

TEST_F(Downlink, ARestartKeepsTheChainAndHandsOutTheSameWay) {
  FakeClient* const client = Add("device-0");
  client->train = [&](const Assignment& assignment) -> std::optional<FakeWork> {
    // A device that dies before it has anything to show, once.
    if (assignment.key.round == 3 && client->assignments.size() == 3) return std::nullopt;
    return client->DefaultWork(assignment);
  };
  Submit(Spec(1));
  world_.RunFor(1000);
  ASSERT_THAT(client->assignments, SizeIs(3));
  world_.StartCoordinator();
  EXPECT_EQ(world_.RunToEnd("job-1").state, JobState::kCompleted);
  ASSERT_THAT(client->assignments, SizeIs(4));
  // It holds by then what the lost assignment was about.
  EXPECT_EQ(client->assignments[3].id, client->assignments[2].id);
  EXPECT_EQ(client->assignments[3].base.sha256, client->assignments[2].base.sha256);
  EXPECT_THAT(client->assignments[3].model_steps, IsEmpty());
}

TEST_F(Downlink, ARestartHandsTheSameStepsToWhoStillLacksThem) {
  FakeClient* const client = Add("device-0");
  client->train = [&](const Assignment& assignment) -> std::optional<FakeWork> {
    if (assignment.key.round < 3 || client->assignments.size() > 3) {
      return client->DefaultWork(assignment);
    }
    // Its memory is that of a moment ago.
    client->models.erase(client->models.begin());
    return std::nullopt;
  };
  Submit(Spec(1));
  world_.RunFor(1000);
  ASSERT_THAT(client->assignments, SizeIs(3));
  world_.StartCoordinator();
  EXPECT_EQ(world_.RunToEnd("job-1").state, JobState::kCompleted);
  const Assignment& before = client->assignments.at(2);
  const Assignment& after = client->assignments.at(3);
  ASSERT_THAT(before.model_steps, SizeIs(1));
  ASSERT_THAT(after.model_steps, SizeIs(1));
  EXPECT_NE(before.model_steps[0].base, Digest{}) << "a step, not the whole model";
  EXPECT_EQ(after.model_steps[0].base, before.model_steps[0].base);
  EXPECT_EQ(after.model_steps[0].payload.sha256, before.model_steps[0].payload.sha256);
}

TEST_F(Downlink, EvaluatorsFollowTheChainAndTheLastEvaluationIsOfTheExactModel) {
  FakeClient* const judge = Add(FakeClient::Options{.name = "judge", .role = Role::kEvaluator});
  Add("device-0");
  JobSpec spec = Spec(1);
  spec.evaluation.every = 1;
  Submit(spec);
  const JobView job = world_.RunToEnd("job-1");
  ASSERT_THAT(job.rounds, SizeIs(3));
  ASSERT_THAT(judge->assignments, SizeIs(3));
  EXPECT_THAT(judge->errors, IsEmpty());
  EXPECT_TRUE(IsWhole(judge->assignments[0]));
  EXPECT_NE(judge->assignments[0].base.sha256, job.rounds[0].model.sha256);
  ASSERT_THAT(judge->assignments[1].model_steps, SizeIs(1));
  EXPECT_EQ(judge->assignments[1].model_steps[0].base, judge->assignments[0].base.sha256);
  EXPECT_THAT(judge->assignments[2].model_steps, IsEmpty());
  EXPECT_EQ(judge->assignments[2].base.sha256, job.last.sha256);
  EXPECT_THAT(judge->assignments[2].model.inline_data, SizeIs(kModelBytes));
  for (const RoundSummary& round : job.rounds) EXPECT_TRUE(round.evaluation.has_value());
}

TEST_F(Downlink, AnEvaluationThatBeganBeforeTheEndOfTimeStaysWhatItWas) {
  FakeClient* const judge = Add(FakeClient::Options{.name = "judge", .role = Role::kEvaluator});
  judge->train_ms = 3000;
  Add("device-0");
  JobSpec spec = Spec(1);
  spec.rounds = 100;
  spec.evaluation.every = 1;
  spec.stop.max_wall_s = 2;
  Submit(spec);
  world_.RunFor(1500);
  ASSERT_THAT(judge->assignments, SizeIs(1));
  EXPECT_TRUE(IsWhole(judge->assignments[0]));
  world_.RunFor(1000);
  world_.StartCoordinator();
  const JobView job = world_.RunToEnd("job-1");
  EXPECT_EQ(job.stop_reason, "time");
  ASSERT_THAT(job.rounds, SizeIs(1));
  EXPECT_TRUE(job.rounds[0].evaluation.has_value()) << job.rounds[0].reason;
}

TEST_F(Downlink, TheEvaluationAtTheEndOfTimeIsOfTheExactModel) {
  FakeClient* const judge = Add(FakeClient::Options{.name = "judge", .role = Role::kEvaluator});
  judge->train_ms = 200;
  judge->train = [&](const Assignment& assignment) {
    FakeWork work = judge->DefaultWork(assignment);
    if (assignment.key.attempt > 1) return work;
    work.report.status = ReportStatus::kFailed;
    work.report.error = "first try";
    return work;
  };
  Add("device-0")->train_ms = 900;
  JobSpec spec = Spec(1);
  spec.rounds = 100;
  spec.evaluation.every = 1;
  spec.stop.max_wall_s = 2;
  Submit(spec);
  // The second try waits for its back-off, which the end of time ends.
  const JobView job = world_.RunToEnd("job-1");
  EXPECT_EQ(job.stop_reason, "time");
  ASSERT_THAT(job.rounds, SizeIs(1));
  EXPECT_TRUE(job.rounds[0].evaluation.has_value()) << job.rounds[0].reason;
  ASSERT_THAT(judge->assignments, SizeIs(2));
  EXPECT_TRUE(IsWhole(judge->assignments[0]));
  EXPECT_EQ(judge->assignments[1].base.sha256, job.last.sha256);
  EXPECT_THAT(judge->assignments[1].model_steps, IsEmpty());
}

TEST_F(Downlink, BlobsAreKeptWhileTheyAreNeededAndNoLonger) {
  FakeClient* const client = Add("device-0");
  client->train_ms = 1000;
  JobSpec spec = Spec(1);
  spec.rounds = 8;
  spec.retention.keep_last = 1;
  spec.retention.keep_best = false;
  Submit(spec);
  size_t most = 0;
  for (int i = 0; i < 7; ++i) {
    world_.RunFor(1000);
    most = std::max(most, world_.blobs->List()->size());
  }
  // Bundle, parts, version 0's tensors; model, broadcast model, whole, its state; up to 7 steps.
  EXPECT_LE(most, 15u);
  const JobView job = world_.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted);
  const std::vector<Digest> all = *world_.blobs->List();
  const std::set<Digest> left(all.begin(), all.end());
  EXPECT_TRUE(left.contains(job.last.sha256));
  for (const Assignment& assignment : client->assignments) {
    EXPECT_FALSE(left.contains(assignment.base.sha256)) << assignment.id;
    for (const ModelStep& step : assignment.model_steps) {
      EXPECT_FALSE(left.contains(step.payload.sha256)) << assignment.id;
    }
  }
  EXPECT_EQ(world_.TryStart(), absl::OkStatus()) << "an ended job needs them no more";
}

TEST_F(Downlink, WhatIsCorruptIsNamedAndNotServed) {
  FakeClient* const client = Add("device-0");
  client->train = [&](const Assignment& assignment) -> std::optional<FakeWork> {
    if (assignment.key.round == 3) return std::nullopt;
    return client->DefaultWork(assignment);
  };
  Submit(Spec(1));
  world_.RunFor(1000);
  const Assignment& assignment = client->assignments.at(2);
  world_.KillCoordinator();
  const auto commit = world_.disk->LastCommit("job-1");
  ASSERT_TRUE(commit.ok() && commit->has_value());
  for (const Digest& blob : {(*commit)->codec_state, assignment.base.sha256,
                             assignment.model_steps.at(0).payload.sha256}) {
    const std::string path = PathOf(blob);
    ASSERT_FALSE(path.empty()) << DigestHex(blob);
    const std::string good = *ReadFile(path, 1 << 20);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::string bad = good;
    bad[bad.size() / 2] ^= 1;
    ASSERT_TRUE(WriteFileAtomic(path, bad).ok());
    const absl::Status corrupt = world_.TryStart();
    EXPECT_EQ(corrupt.code(), absl::StatusCode::kDataLoss) << corrupt;
    EXPECT_THAT(std::string(corrupt.message()),
                AllOf(HasSubstr("job job-1: downlink"), HasSubstr(path)));
    std::filesystem::remove(path);
    const absl::Status missing = world_.TryStart();
    EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss) << missing;
    EXPECT_THAT(std::string(missing.message()), HasSubstr(DigestHex(blob)));
    ASSERT_TRUE(WriteFileAtomic(path, good).ok());
  }
  client->train = nullptr;
  world_.StartCoordinator();
  EXPECT_EQ(world_.RunToEnd("job-1").state, JobState::kCompleted);
}

TEST_F(Downlink, AStateOfAnotherVersionIsRefused) {
  FakeClient* const client = Add("device-0");
  client->train_ms = 1000;
  Submit(Spec(1));
  world_.RunFor(1500);
  world_.KillCoordinator();
  const auto commit = world_.disk->LastCommit("job-1");
  ASSERT_TRUE(commit.ok() && commit->has_value());
  RoundCommitted other = **commit;
  other.key.round += 1;
  other.model.version += 1;
  absl::Status written;
  world_.disk->Write({AppendLog{other}}, [&](absl::Status status) { written = status; });
  ASSERT_TRUE(written.ok()) << written;
  const absl::Status refused = world_.TryStart();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr(absl::StrCat("job job-1: downlink state ", DigestHex(other.codec_state))));
}

TEST_F(Downlink, ACodecWhoseErrorWouldGrowIsRefused) {
  JobSpec spec = Spec(1);
  spec.codec.down = "qsgd:levels=1";
  const auto job = world_.coordinator().SubmitJob(spec, world_.AddBundle(kParameters), "");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(job.status().message()),
              AllOf(HasSubstr("codec.down = \"qsgd:levels=1\": its relative squared error is "),
                    HasSubstr("grows with every step")));
}

TEST_F(Downlink, JobsWhoseModelCannotBeCodedAreRefusedAtOnce) {
  const Digest bundle =
      world_.AddBundle(kParameters, false, std::numeric_limits<float>::quiet_NaN());
  const auto job = world_.coordinator().SubmitJob(Spec(1), bundle, "");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("the initial model"));
  EXPECT_THAT(world_.coordinator().ListJobs(true), IsEmpty());
  EXPECT_EQ(world_.TryStart(), absl::OkStatus());
}

}  // namespace
}  // namespace fedwatt::testing
