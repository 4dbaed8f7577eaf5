// What a client can get wrong on purpose or by accident: a clear error at the right place, nothing
// counted, nobody else harmed.

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::HasSubstr;

// Two good clients and a bad one; the round needs two of the three.
class BadInput : public ::testing::Test {
 protected:
  using Spoil = std::function<void(const Assignment&, FakeWork*)>;

  void SetUp() override {
    world_.StartCoordinator();
    good_ = world_.AddClients(2);
    bad_ = world_.AddClient({.name = "villain"});
    for (FakeClient* client : good_) client->train_ms = 3000;
  }

  JobSpec Spec() {
    JobSpec spec = world_.Spec(2);
    spec.round.goal = 3;
    spec.round.min_reports = 2;
    spec.rounds = 1;
    return spec;
  }

  // The model that two good clients make without a third.
  JobView RunWith(const Spoil& spoil, bool stream = false, bool with_buffer = false) {
    bad_->chunk_bytes = stream ? 16 : 0;
    bad_->train = [this, spoil](const Assignment& assignment) {
      FakeWork work = bad_->DefaultWork(assignment);
      work.report.energy[0].energy_uj = 5;
      spoil(assignment, &work);
      return work;
    };
    const Digest bundle = world_.AddBundle(16, with_buffer);
    const auto job = world_.coordinator().SubmitJob(Spec(), bundle, "");
    EXPECT_TRUE(job.ok()) << job.status();
    return world_.RunToEnd(job->id);
  }

  void ExpectRefused(const Spoil& spoil, const std::string& reason, bool with_buffer = false) {
    for (const bool stream : {false, true}) {
      SCOPED_TRACE(stream ? "streamed" : "inline");
      bad_->replies.clear();
      const JobView job = RunWith(spoil, stream, with_buffer);
      EXPECT_EQ(job.state, JobState::kCompleted);
      ASSERT_EQ(job.rounds.size(), 1u);
      EXPECT_EQ(job.rounds[0].reported, 2u);
      EXPECT_EQ(job.rounds[0].failed, 1u);
      EXPECT_EQ(job.rounds[0].train_after.examples, 200u);
      ASSERT_EQ(bad_->replies.size(), 1u);
      EXPECT_FALSE(bad_->replies[0].accepted);
      EXPECT_EQ(bad_->replies[0].outcome, Outcome::kRefused);
      EXPECT_EQ(bad_->replies[0].reason, reason);
      EXPECT_EQ(job.energy.at(0).useful_uj, 2000);
      EXPECT_EQ(job.energy.at(0).wasted_uj, 5) << "its joules were spent";
    }
  }

  static void Put(size_t coordinate, float value, FakeWork* work) {
    std::memcpy(work->update.data() + coordinate * sizeof(float), &value, sizeof(value));
  }

  TestWorld world_;
  std::vector<FakeClient*> good_;
  FakeClient* bad_ = nullptr;
};

TEST_F(BadInput, NotANumber) {
  ExpectRefused([](const Assignment&, FakeWork* work) { Put(3, std::nanf(""), work); },
                "invalid: the update's \"w\"[3] is nan: must be finite");
}

TEST_F(BadInput, Infinite) {
  ExpectRefused([](const Assignment&, FakeWork* work) { Put(15, -INFINITY, work); },
                "invalid: the update's \"w\"[15] is -inf: must be finite");
}

TEST_F(BadInput, BeyondTheBoundOnDeltas) {
  ExpectRefused([](const Assignment&, FakeWork* work) { Put(0, 64.5f, work); },
                "invalid: the update changes \"w\"[0] by 64.5: must be at most 64 "
                "(bounds.max_abs_delta)");
}

TEST_F(BadInput, ABufferThatIsNotANumber) {
  ExpectRefused([](const Assignment&, FakeWork* work) { Put(17, std::nanf(""), work); },
                "invalid: buffer \"running\" [1] is nan: must be finite and within +-4.29497e+09",
                true);
}

TEST_F(BadInput, WeightZero) {
  ExpectRefused([](const Assignment&, FakeWork* work) { work->report.weight = 0; },
                "invalid: weight 0: must be 1 to 100000 (bounds.max_weight)");
}

TEST_F(BadInput, WeightOfTenToThe18) {
  ExpectRefused(
      [](const Assignment&, FakeWork* work) { work->report.weight = 1'000'000'000'000'000'000; },
      "invalid: weight 1000000000000000000: must be 1 to 100000 (bounds.max_weight)");
}

TEST_F(BadInput, AnotherModelVersion) {
  const Digest other = Sha256Of(AsBytes("another model"));
  const Digest initial = Sha256Of(std::vector<uint8_t>(64));
  RunWith([&](const Assignment&, FakeWork* work) { work->report.base_sha256 = other; });
  ASSERT_EQ(bad_->replies.size(), 1u);
  EXPECT_EQ(bad_->replies[0].reason,
            absl::StrCat("invalid: the report is about model ", DigestHex(other),
                         "; job-1/r1/a1 works on model ", DigestHex(initial)));
}

TEST_F(BadInput, AnUpdateTooShortForTheModel) {
  ExpectRefused([](const Assignment&, FakeWork* work) { work->update.resize(60); },
                "invalid: the update has 60 bytes; the 16 coordinates of this job and 0 bytes of "
                "buffers take 64");
}

TEST_F(BadInput, AnUpdateLargerThanTheModel) {
  ExpectRefused([](const Assignment&, FakeWork* work) { work->update.resize(68); },
                "invalid: an update of 68 bytes: this job's have at most 64 as raw_f32");
}

TEST_F(BadInput, NoUpdateAtAll) {
  bad_->replies.clear();
  RunWith([](const Assignment&, FakeWork* work) { work->update.clear(); });
  ASSERT_EQ(bad_->replies.size(), 1u);
  EXPECT_EQ(bad_->replies[0].reason,
            "invalid: the report brings no update; report a failure instead");
}

TEST_F(BadInput, AWrongHashIsTheTransportsFaultAndTheClientMaySendAgain) {
  bad_->chunk_bytes = 16;
  int tries = 0;
  bad_->train = [&](const Assignment& assignment) {
    FakeWork work = bad_->DefaultWork(assignment);
    work.report.update.sha256 = Sha256Of(AsBytes(work.update));
    if (tries++ == 0) work.update[5] ^= 1;
    return work;
  };
  const auto job = world_.coordinator().SubmitJob(Spec(), world_.AddBundle(), "");
  ASSERT_TRUE(job.ok());
  world_.RunFor(150);
  ASSERT_FALSE(bad_->errors.empty());
  EXPECT_EQ(bad_->errors[0].code(), absl::StatusCode::kDataLoss) << bad_->errors[0];
  // Its slot is still open: the right bytes are welcome.
  const Assignment& assignment = bad_->assignments.at(0);
  FakeWork work = bad_->DefaultWork(assignment);
  work.report.update.sha256 = Sha256Of(AsBytes(work.update));
  work.report.update.size = work.update.size();
  work.report.update.inline_data = work.update;
  std::optional<ReportReply> reply;
  world_.coordinator().SubmitReport(bad_->principal(), work.report,
                                    [&](absl::StatusOr<ReportReply> r) { reply = *r; });
  world_.RunFor(10);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->accepted) << reply->reason;
}

TEST_F(BadInput, AnUploadThatEndsEarlyOrRunsOver) {
  bad_->train = [](const Assignment&) { return std::nullopt; };
  ASSERT_TRUE(world_.coordinator().SubmitJob(Spec(), world_.AddBundle(), "").ok());
  world_.RunFor(100);
  FakeWork work = bad_->DefaultWork(bad_->assignments.at(0));
  work.report.update.sha256 = Sha256Of(AsBytes(work.update));
  work.report.update.size = work.update.size();
  auto start = world_.coordinator().StartUpload(bad_->principal(), work.report, 0);
  ASSERT_TRUE(start.ok() && start->session != nullptr);
  ASSERT_TRUE(start->session->Append(0, AsBytes(work.update).first(40)).ok());
  const absl::Status gap = start->session->Append(41, AsBytes(work.update).subspan(41));
  EXPECT_EQ(gap.code(), absl::StatusCode::kInvalidArgument) << gap;
  const std::string much(25, 'x');
  const absl::Status over = start->session->Append(40, AsBytes(much));
  EXPECT_EQ(over.code(), absl::StatusCode::kInvalidArgument) << over;
  absl::Status ended;
  start->session->Finish([&](absl::StatusOr<ReportReply> reply) { ended = reply.status(); });
  world_.RunFor(10);
  EXPECT_EQ(ended.code(), absl::StatusCode::kDataLoss) << ended;
}

TEST_F(BadInput, AResumedUploadAtTheWrongByte) {
  bad_->train = [](const Assignment&) { return std::nullopt; };
  ASSERT_TRUE(world_.coordinator().SubmitJob(Spec(), world_.AddBundle(), "").ok());
  world_.RunFor(100);
  FakeWork work = bad_->DefaultWork(bad_->assignments.at(0));
  work.report.update.size = work.update.size();
  const auto start = world_.coordinator().StartUpload(bad_->principal(), work.report, 7);
  EXPECT_EQ(start.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(std::string(start.status().message()),
            "the upload goes on at byte 7; 0 of 64 are here; ask for the upload's status first");
}

TEST_F(BadInput, AnotherClientsAssignment) {
  world_.coordinator().SubmitJob(Spec(), world_.AddBundle(), "").IgnoreError();
  world_.RunFor(100);
  const Assignment& theirs = good_[0]->assignments.at(0);
  FakeWork work = bad_->DefaultWork(theirs);
  std::optional<ReportReply> reply;
  world_.coordinator().SubmitReport(bad_->principal(), work.report,
                                    [&](absl::StatusOr<ReportReply> r) { reply = *r; });
  world_.RunFor(10);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->outcome, Outcome::kUnknown);
  EXPECT_EQ(reply->reason, absl::StrCat("no assignment \"", theirs.id, "\" of yours"));
  EXPECT_EQ(
      world_.coordinator().UploadStatus(bad_->principal(), theirs.id, Digest{}).status().code(),
      absl::StatusCode::kNotFound);
  EXPECT_EQ(world_.RunToEnd("job-1").rounds.at(0).reported, 3u) << "the owner was not harmed";
}

TEST_F(BadInput, JobsAndRoundsThatAreNot) {
  world_.coordinator().SubmitJob(Spec(), world_.AddBundle(), "").IgnoreError();
  world_.RunFor(100);
  for (const std::string id : {"job-7/r1/a1/0", "job-1/r2/a1/0", "job-1/r1/a1/3", "job-1/r01/a1/0",
                               "job-1", "", "/r1/a1/0", "../../etc/passwd"}) {
    Report report;
    report.assignment_id = id;
    std::optional<ReportReply> reply;
    world_.coordinator().SubmitReport(bad_->principal(), report,
                                      [&](absl::StatusOr<ReportReply> r) { reply = *r; });
    world_.RunFor(10);
    ASSERT_TRUE(reply.has_value()) << id;
    EXPECT_EQ(reply->outcome, Outcome::kUnknown) << id;
    const auto start = world_.coordinator().StartUpload(bad_->principal(), report, 0);
    ASSERT_TRUE(start.ok() && start->refused) << id;
    EXPECT_EQ(start->refused->outcome, Outcome::kUnknown) << id;
  }
}

TEST_F(BadInput, RepeatedAndReplayedReportsGetTheSameAnswerAndCountOnce) {
  std::vector<ReportReply> replies;
  Report first;
  bad_->train = [&](const Assignment& assignment) {
    FakeWork work = bad_->DefaultWork(assignment);
    first = work.report;
    first.update.sha256 = Sha256Of(AsBytes(work.update));
    first.update.size = work.update.size();
    first.update.inline_data = work.update;
    return work;
  };
  ASSERT_TRUE(world_.coordinator().SubmitJob(Spec(), world_.AddBundle(), "").ok());
  world_.RunFor(100);
  const auto repeat = [&] {
    world_.coordinator().SubmitReport(
        bad_->principal(), first, [&](absl::StatusOr<ReportReply> r) { replies.push_back(*r); });
  };
  repeat();
  world_.RunFor(10);
  Report other = first;
  other.update.inline_data[0] ^= 1;
  other.update.sha256 = Sha256Of(AsBytes(other.update.inline_data));
  world_.coordinator().SubmitReport(bad_->principal(), other, [&](absl::StatusOr<ReportReply> r) {
    EXPECT_FALSE(r->accepted);
    EXPECT_EQ(r->outcome, Outcome::kPending);
    EXPECT_THAT(r->reason, HasSubstr("duplicate: "));
  });
  const JobView job = world_.RunToEnd("job-1");
  repeat();
  world_.RunFor(10);
  world_.StartCoordinator();
  repeat();
  world_.RunFor(10);
  ASSERT_EQ(replies.size(), 3u);
  EXPECT_EQ(replies[0].outcome, Outcome::kPending);
  EXPECT_EQ(replies[1].outcome, Outcome::kCommitted);
  EXPECT_EQ(replies[2].outcome, Outcome::kCommitted);
  for (const ReportReply& reply : replies) EXPECT_TRUE(reply.accepted);
  EXPECT_EQ(job.rounds.at(0).train_after.examples, 300u);
  EXPECT_EQ(world_.coordinator().GetJob("job-1")->energy.at(0).useful_uj, 3000);
  EXPECT_EQ(world_.coordinator().GetJob("job-1")->energy.at(0).wasted_uj, 0);
}

// Its answer was lost, so the client sent its report again: that cost joules, and for nothing.
TEST_F(BadInput, WhatItCostToSendAReportAgainIsWasted) {
  Report first;
  bad_->train = [&](const Assignment& assignment) {
    FakeWork work = bad_->DefaultWork(assignment);
    first = work.report;
    first.update.sha256 = Sha256Of(AsBytes(work.update));
    first.update.size = work.update.size();
    first.update.inline_data = work.update;
    return work;
  };
  ASSERT_TRUE(world_.coordinator().SubmitJob(Spec(), world_.AddBundle(), "").ok());
  world_.RunFor(100);
  ASSERT_FALSE(first.energy.empty());
  const auto repeat = [&] {
    *first.energy[0].energy_uj += 200;
    std::optional<ReportReply> reply;
    world_.coordinator().SubmitReport(bad_->principal(), first,
                                      [&](absl::StatusOr<ReportReply> r) { reply = *r; });
    world_.RunFor(10);
    EXPECT_TRUE(reply && reply->accepted);
  };
  repeat();
  const int64_t useful_uj = world_.RunToEnd("job-1").energy.at(0).useful_uj;
  repeat();
  repeat();
  for (const bool restarted : {false, true}) {
    if (restarted) world_.StartCoordinator();
    EXPECT_EQ(world_.coordinator().GetJob("job-1")->energy.at(0).wasted_uj, 600) << restarted;
    EXPECT_EQ(world_.coordinator().GetJob("job-1")->energy.at(0).useful_uj, useful_uj);
  }
}

TEST_F(BadInput, LossesThatAreNotNumbersSpoilNobodysMean) {
  const JobView job = RunWith([](const Assignment&, FakeWork* work) {
    work->report.metrics.after->loss_sum = std::nan("");
    work->report.metrics.named["x"] = INFINITY;
  });
  EXPECT_EQ(job.rounds.at(0).reported, 3u);
  EXPECT_DOUBLE_EQ(*job.rounds.at(0).train_after.loss, 0.5);
  EXPECT_TRUE(job.rounds.at(0).train_after.named.empty());
}

TEST_F(BadInput, AFullDiskAbandonsTheAttemptAndLosesNoJob) {
  bool full = true;
  world_.memory->SetFault([&full](const std::vector<StoreWrite>& batch) {
    const auto* log = std::get_if<AppendLog>(&batch.front());
    const bool commit = log != nullptr && std::holds_alternative<RoundCommitted>(log->record);
    if (!commit || !std::exchange(full, false)) return absl::OkStatus();
    return absl::ResourceExhaustedError("/var/lib/fedwatt/store.db: the disk is full (0 B free)");
  });
  const JobView job = RunWith([](const Assignment&, FakeWork*) {});
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.rounds.at(0).key.attempt, 2u);
  EXPECT_TRUE(
      world_.Logged("writing the commit: RESOURCE_EXHAUSTED: /var/lib/fedwatt/store.db: "
                    "the disk is full (0 B free)"));
}

TEST_F(BadInput, AFullDiskUnderTheModelAbandonsTheAttempt) {
  bool full = true;
  SetWriteFaultForTest([&full](const std::string& path, uint64_t) {
    if (path.find("/blobs") == std::string::npos) return 0;
    return std::exchange(full, false) ? ENOSPC : 0;
  });
  const Digest bundle = [&] {
    full = false;
    return world_.AddBundle();
  }();
  ASSERT_TRUE(world_.coordinator().SubmitJob(Spec(), bundle, "").ok());
  full = true;
  const JobView job = world_.RunToEnd("job-1");
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.rounds.at(0).key.attempt, 2u);
  EXPECT_TRUE(world_.Logged("making the new model: RESOURCE_EXHAUSTED"));
}

TEST_F(BadInput, AReportThatCannotBeKeptIsNotAcknowledged) {
  bool full = true;
  world_.memory->SetFault([&full](const std::vector<StoreWrite>& batch) {
    const auto* log = std::get_if<AppendLog>(&batch.front());
    const bool report = log != nullptr && std::holds_alternative<ReportAccepted>(log->record);
    if (!report || !std::exchange(full, false)) return absl::OkStatus();
    return absl::ResourceExhaustedError("the disk is full");
  });
  const JobView job = RunWith([](const Assignment&, FakeWork*) {});
  EXPECT_EQ(job.state, JobState::kCompleted);
  ASSERT_FALSE(bad_->errors.empty());
  EXPECT_EQ(std::string(bad_->errors[0].message()),
            "the report could not be kept: the disk is full; send it again later");
}

}  // namespace
}  // namespace fedwatt::testing
