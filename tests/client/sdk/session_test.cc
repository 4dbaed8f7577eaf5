// The session's main flows, in virtual time.

#include "client/sdk/session.h"

#include <limits>

#include "gmock/gmock.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kSmall = 100;
constexpr uint64_t kLarge = 200'000;  // 800 kB: streamed both ways

const EnergySample* FindSample(const Report& report, Phase phase, EnergyQuality quality) {
  for (const EnergySample& sample : report.energy) {
    if (sample.phase == phase && sample.quality == quality) return &sample;
  }
  return nullptr;
}

TEST_F(SessionTest, ChecksInWithWhatItOffers) {
  options_.labels = {{"region", "north"}};
  options_.memory_bytes = 1 << 30;
  Start();
  ASSERT_THAT(coordinator_.check_ins, SizeIs(1));
  const CheckInRequest& request = coordinator_.check_ins[0];
  EXPECT_THAT(request.capabilities.trainers, ElementsAre("fake"));
  EXPECT_THAT(request.capabilities.artifact_formats, ElementsAre("torchscript"));
  EXPECT_THAT(request.capabilities.codecs, ::testing::Contains("raw_f32"));
  EXPECT_EQ(request.capabilities.labels.at("region"), "north");
  EXPECT_EQ(request.capabilities.memory_bytes, 1 << 30);
  ASSERT_THAT(request.datasets, SizeIs(1));
  EXPECT_EQ(request.datasets[0].name, "digits");
  EXPECT_EQ(request.datasets[0].example_count_bucket, 10);
  EXPECT_EQ(request.max_wait_ms, 20'000);
  EXPECT_EQ(request.client_time_ms, clock_.NowMs());
  EXPECT_GT(request.session, 0);
}

TEST_F(SessionTest, ALaterStartHasAGreaterSessionNumberEvenIfTheClockWentBack) {
  Start();
  clock_.SetMs(1000);
  Restart();
  ASSERT_THAT(coordinator_.check_ins, SizeIs(2));
  EXPECT_GT(coordinator_.check_ins[1].session, coordinator_.check_ins[0].session);
}

TEST_F(SessionTest, TrainsASmallModelThatComesInline) {
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  Start();
  EXPECT_THAT(transcript_.lines,
              ElementsAre("assigned job/r1/a1/0: train job/r1/a1", "training job/r1/a1/0: net",
                          "trained job/r1/a1/0 examples=600 steps=1 weight=600",
                          "encoded job/r1/a1/0 400 bytes", "reported job/r1/a1/0: pending"));
  EXPECT_EQ(coordinator_.bytes_down, 0);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_EQ(LastReport().weight, 600);
  EXPECT_EQ(LastReport().update.inline_data.size(), kSmall * 4);
  EXPECT_TRUE(coordinator_.holds_check_in());
  EXPECT_EQ(meter_.open, 0);
  EXPECT_EQ(transcript_.progress, 1);
}

TEST_F(SessionTest, AnUpdateAboveTheAskedLimitIsStreamed) {
  for (const bool fits : {true, false}) {
    Assignment assignment = MakeAssignment(fits ? "job/r1/a1/0" : "job/r2/a1/0", kSmall);
    assignment.max_inline_bytes = kSmall * 4 - (fits ? 0 : 1);
    coordinator_.Give(Inline(assignment));
    if (fits) {
      Start();
    } else {
      Restart();
    }
    EXPECT_EQ(LastReport().update.size, kSmall * 4);
    EXPECT_EQ(LastReport().update.inline_data.empty(), !fits);
    EXPECT_EQ(coordinator_.updates[assignment.id].size(), kSmall * 4);
  }
}

TEST_F(SessionTest, TrainsALargeModelThatIsStreamed) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  const uint64_t bundle_bytes = coordinator_.bytes_down - kLarge * 4;
  EXPECT_THAT(
      transcript_.lines,
      ElementsAre(
          "assigned job/r1/a1/0: train job/r1/a1",
          absl::StrCat("downloading job/r1/a1/0 from 0 of ", bundle_bytes, " bytes: bundle"),
          "downloading job/r1/a1/0 from 0 of 800000 bytes: model", "training job/r1/a1/0: net",
          "trained job/r1/a1/0 examples=600 steps=1 weight=600", "encoded job/r1/a1/0 800000 bytes",
          "uploading job/r1/a1/0 from 0 of 800000 bytes", "reported job/r1/a1/0: pending"));
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().metrics.bytes_down, coordinator_.bytes_down);
  EXPECT_EQ(LastReport().metrics.bytes_up, kLarge * 4);
  EXPECT_EQ(LastReport().base_sha256, Sha256Of(AsBytes(std::string(kLarge * 4, '\x3d'))));
}

TEST_F(SessionTest, ForgetsTheUpdateOnceItsOutcomeIsKnown) {
  const std::string folder = options_.state_dir + "/assignments";
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  Start();
  EXPECT_THAT(*ListDir(folder), SizeIs(3));  // journal, model, update
  ASSERT_THAT(coordinator_.check_ins.back().holding, SizeIs(1));
  EXPECT_EQ(coordinator_.check_ins.back().holding[0].stage, HoldingStage::kReported);
  coordinator_.Notify("job/r1/a1/0", Outcome::kCommitted);
  coordinator_.AnswerHeld();
  executor_.RunReady();
  EXPECT_EQ(transcript_.lines.back(), "resolved job/r1/a1/0 committed");
  EXPECT_THAT(*ListDir(folder), IsEmpty());
  EXPECT_THAT(coordinator_.check_ins.back().holding, IsEmpty());
}

TEST_F(SessionTest, SendsAgainWithoutTrainingWhatTheCoordinatorLost) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  const std::string first = coordinator_.updates["job/r1/a1/0"];
  coordinator_.updates.clear();
  coordinator_.Notify("job/r1/a1/0", Outcome::kWanted);
  coordinator_.AnswerHeld();
  executor_.RunReady();
  EXPECT_THAT(trainer_.runs, SizeIs(1));
  ASSERT_THAT(coordinator_.reports, SizeIs(2));
  EXPECT_EQ(coordinator_.updates["job/r1/a1/0"], first);
  EXPECT_EQ(LastReport().metrics.bytes_up, 2 * kLarge * 4);
}

TEST_F(SessionTest, ALateUpdateIsRefusedAndForgotten) {
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  ReportReply late;
  late.outcome = Outcome::kRefused;
  late.reason = "the round was over";
  coordinator_.replies.push_back(late);
  Start();
  EXPECT_EQ(transcript_.lines.back(), "resolved job/r1/a1/0 refused: the round was over");
  EXPECT_THAT(*ListDir(options_.state_dir + "/assignments"), IsEmpty());
  EXPECT_TRUE(coordinator_.holds_check_in());
}

TEST_F(SessionTest, EvaluatesWithoutAnUpdate) {
  Assignment assignment = Inline(MakeAssignment("job/e1/a1/0", kSmall));
  assignment.kind = AssignmentKind::kEvaluate;
  options_.role = Role::kEvaluator;
  coordinator_.Give(assignment);
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_EQ(LastReport().update.size, 0);
  ASSERT_TRUE(LastReport().metrics.after.has_value());
  EXPECT_NE(FindSample(LastReport(), Phase::kEvaluate, EnergyQuality::kMeasured), nullptr);
  EXPECT_EQ(coordinator_.check_ins[0].role, Role::kEvaluator);
}

TEST_F(SessionTest, AnEvaluatorDoesNotTrain) {
  options_.role = Role::kEvaluator;
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  Start();
  EXPECT_THAT(trainer_.runs, IsEmpty());
  EXPECT_EQ(LastReport().status, ReportStatus::kFailed);
  EXPECT_THAT(LastReport().error, HasSubstr("an evaluator does not train"));
}

TEST_F(SessionTest, ReportsEnergyOfEveryPhaseAndAnEstimateOfItsOwnSending) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  const Report first = LastReport();
  const EnergySample* download = FindSample(first, Phase::kDownload, EnergyQuality::kMeasured);
  ASSERT_NE(download, nullptr);  // bundle and model as one sample
  EXPECT_EQ(download->bytes, coordinator_.bytes_down);
  EXPECT_EQ(*download->energy_uj, 2000 + 2 * static_cast<int64_t>(download->bytes));
  EXPECT_NE(FindSample(first, Phase::kTrain, EnergyQuality::kMeasured), nullptr);
  EXPECT_NE(FindSample(first, Phase::kEncode, EnergyQuality::kMeasured), nullptr);
  const EnergySample* unknown = FindSample(first, Phase::kUpload, EnergyQuality::kUnavailable);
  ASSERT_NE(unknown, nullptr);
  EXPECT_FALSE(unknown->energy_uj.has_value());
  EXPECT_THAT(unknown->reason, HasSubstr("no earlier upload"));

  coordinator_.Give(MakeAssignment("job/r2/a1/0", kLarge));
  coordinator_.AnswerHeld();
  executor_.RunReady();
  const EnergySample* estimate =
      FindSample(LastReport(), Phase::kUpload, EnergyQuality::kEstimated);
  ASSERT_NE(estimate, nullptr);
  EXPECT_EQ(*estimate->energy_uj, 1000 + 2 * 800'000);
  EXPECT_EQ(estimate->source, "fake");
  EXPECT_EQ(estimate->coverage, 0);
  EXPECT_FALSE(estimate->sigma_uj.has_value());  // one upload says nothing of the spread
}

TEST_F(SessionTest, WithoutAMeterEnergyIsUnavailableNotZero) {
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  SessionDeps deps{&clock_, &executor_, &executor_, &coordinator_, &trainer_};
  auto session = Session::Open(options_, deps);
  ASSERT_TRUE(session.ok());
  (*session)->Start();
  executor_.RunReady();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  for (const EnergySample& sample : LastReport().energy) {
    EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
    EXPECT_FALSE(sample.energy_uj.has_value());
    EXPECT_FALSE(sample.reason.empty());
  }
}

TEST_F(SessionTest, ClampsTheWeight) {
  trainer_.weight = 5000;
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  Assignment uniform = Inline(MakeAssignment("job/r2/a1/0", kSmall));
  uniform.plan.weight_by = WeightBy::kUniform;
  coordinator_.Give(uniform);
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(2));
  EXPECT_EQ(coordinator_.reports[0].weight, 1000);
  EXPECT_EQ(coordinator_.reports[1].weight, 1);
}

TEST_F(SessionTest, KeepsTheWaitThatARejectionAsksForAndClosesTheConnection) {
  coordinator_.Reject(60'000);
  Start();
  EXPECT_EQ(transcript_.lines.back(), "waiting: come back later");
  EXPECT_EQ(coordinator_.sleeps, 1);
  Advance(59'999);
  EXPECT_THAT(coordinator_.check_ins, SizeIs(1));
  Advance(6'001);
  EXPECT_THAT(coordinator_.check_ins, SizeIs(2));
}

TEST_F(SessionTest, AShortWaitKeepsTheConnection) {
  coordinator_.Reject(5'000);
  Start();
  Advance(5'501);
  EXPECT_THAT(coordinator_.check_ins, SizeIs(2));
  EXPECT_EQ(coordinator_.sleeps, 0);
}

TEST_F(SessionTest, ALongPollWithoutNewsIsFollowedByTheNext) {
  Start();
  Advance(60'000);
  EXPECT_THAT(coordinator_.check_ins, SizeIs(4));
}

TEST_F(SessionTest, ACoordinatorThatAnswersAtOnceWithoutNewsIsNotHammered) {
  for (int i = 0; i < 100; ++i) coordinator_.answers.push_back(CheckInResponse());
  Start();
  Advance(10'000);
  EXPECT_LE(coordinator_.check_ins.size(), 11);
}

TEST_F(SessionTest, ACoordinatorAwayForTenMinutesIsTriedPatientlyAndFoundAgain) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  trainer_.during_run = [&] { coordinator_.away = true; };
  Start();
  Advance(600'000);
  EXPECT_THAT(coordinator_.reports, IsEmpty());
  EXPECT_THAT(trainer_.runs, SizeIs(1));
  size_t waits = 0;
  int64_t longest = 0;
  for (const SessionEvent& event : transcript_.events) {
    if (event.kind != SessionEventKind::kWaiting) continue;
    ++waits;
    longest = std::max(longest, event.delay_ms);
  }
  EXPECT_GE(waits, 10);
  EXPECT_LE(waits, 40);
  EXPECT_LE(longest, 60'000);
  coordinator_.away = false;
  Advance(61'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_THAT(trainer_.runs, SizeIs(1));
}

TEST_F(SessionTest, RefusedCredentialsAreTriedRarelyAndSayWhatToDo) {
  for (int i = 0; i < 20; ++i) {
    coordinator_.answers.push_back(absl::UnauthenticatedError("identity client-1 is revoked"));
  }
  Start();
  Advance(3'600'000);
  EXPECT_LE(coordinator_.check_ins.size(), 13);
  EXPECT_GE(coordinator_.check_ins.size(), 10);
  EXPECT_THAT(transcript_.lines[0], HasSubstr("denied: the coordinator refuses this client: "
                                              "UNAUTHENTICATED: identity client-1 is revoked"));
  EXPECT_THAT(transcript_.lines[0], HasSubstr("check the certificate"));
}

TEST_F(SessionTest, KeepsTheRetryTimeOfAReply) {
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  ReportReply busy;
  busy.accepted = false;
  busy.retry_after_ms = 20'000;
  busy.reason = "too many uploads";
  coordinator_.replies.push_back(busy);
  Start();
  EXPECT_EQ(transcript_.lines.back(), "waiting job/r1/a1/0: too many uploads");
  Advance(19'999);
  EXPECT_THAT(coordinator_.reports, SizeIs(1));
  Advance(2'002);
  EXPECT_THAT(coordinator_.reports, SizeIs(2));
  EXPECT_THAT(trainer_.runs, SizeIs(1));
}

TEST_F(SessionTest, ADownloadCutAtNinetyPercentGoesOn) {
  const Assignment assignment = MakeAssignment("job/r1/a1/0", kLarge);
  coordinator_.Give(assignment);
  coordinator_.cut_download_at = kLarge * 4 * 9 / 10;
  Start();
  Advance(1000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  const double needed = static_cast<double>(assignment.model.size + assignment.bundle.size);
  EXPECT_LE(static_cast<double>(coordinator_.bytes_down), 1.15 * needed);
  EXPECT_TRUE(transcript_.Has("downloading job/r1/a1/0 from 720000 of 800000 bytes: model"));
}

TEST_F(SessionTest, AnUploadCutAtNinetyPercentGoesOnAndItsEnergyIsNotForgotten) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  coordinator_.cut_upload_at = kLarge * 4 * 9 / 10;
  Start();
  Advance(1000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_LE(static_cast<double>(coordinator_.bytes_up), 1.15 * kLarge * 4);
  const EnergySample* cut = FindSample(LastReport(), Phase::kUpload, EnergyQuality::kMeasured);
  ASSERT_NE(cut, nullptr);
  EXPECT_EQ(cut->bytes, 720'000);
  const EnergySample* rest = FindSample(LastReport(), Phase::kUpload, EnergyQuality::kEstimated);
  ASSERT_NE(rest, nullptr);
  EXPECT_EQ(rest->bytes, 80'000);
  EXPECT_EQ(LastReport().metrics.bytes_up, 800'000);
}

TEST_F(SessionTest, AModelOfALaterRoundIsNotDownloadedTwice) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  coordinator_.Give(MakeAssignment("job/r1/a2/0", kLarge));
  Start();
  EXPECT_THAT(coordinator_.reports, SizeIs(2));
  EXPECT_EQ(coordinator_.bytes_down,
            LastReport().metrics.bytes_down + coordinator_.reports[0].metrics.bytes_down);
  EXPECT_EQ(LastReport().metrics.bytes_down, 0);
}

TEST_F(SessionTest, FollowsAForwardOnlyIfTheHostCanConnect) {
  CheckInResponse forward;
  forward.forward = "other:7443";
  coordinator_.answers.push_back(forward);
  Start();
  EXPECT_TRUE(transcript_.Has("forwarded: other:7443"));
  EXPECT_TRUE(transcript_.Has("denied: the coordinator forwards this client to other:7443"));

  auto other = std::make_shared<FakeCoordinator>(&executor_, &clock_);
  connect_ = [&](const std::string&) { return other; };
  coordinator_.answers.push_back(forward);
  Restart();
  EXPECT_TRUE(other->holds_check_in());
}

TEST_F(SessionTest, TwoSessionsDoNotShareAStateFolder) {
  Start();
  SessionDeps deps{&clock_, &executor_, &executor_, &coordinator_, &trainer_};
  const auto second = Session::Open(options_, deps);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("is locked by process"));
}

TEST_F(SessionTest, StopDuringTrainingEndsItAndKeepsTheWork) {
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  bool stopped = false;
  trainer_.during_run = [&] {
    // As from another thread: the executor is what lets it happen.
    session_->Stop([&] { stopped = true; });
    trainer_.error = absl::CancelledError("training was cancelled");
  };
  Start();
  EXPECT_TRUE(stopped);
  EXPECT_EQ(transcript_.lines.back(), "stopped");
  EXPECT_THAT(coordinator_.reports, IsEmpty());
  trainer_.during_run = nullptr;
  trainer_.error = absl::OkStatus();
  Restart();
  EXPECT_EQ(transcript_.lines[0], "recovered job/r1/a1/0: assigned");
  Advance(0);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  // The cancelled training's joules are in the report, with the second's.
  EXPECT_EQ(*FindSample(LastReport(), Phase::kTrain, EnergyQuality::kMeasured)->energy_uj, 2000);
}

TEST_F(SessionTest, StopWhileWaitingIsImmediate) {
  coordinator_.Reject(60'000);
  Start();
  bool stopped = false;
  session_->Stop([&] { stopped = true; });
  executor_.RunReady();
  EXPECT_TRUE(stopped);
  Advance(120'000);
  EXPECT_THAT(coordinator_.check_ins, SizeIs(1));
}

TEST_F(SessionTest, StopDuringALongPollCancelsIt) {
  Start();
  bool stopped = false;
  session_->Stop([&] { stopped = true; });
  executor_.RunReady();
  EXPECT_TRUE(stopped);
  EXPECT_EQ(coordinator_.cancels, 1);
}

TEST_F(SessionTest, WorkThatTheDeviceCancelsIsReportedAsCancelled) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  coordinator_.cut_download_at = 1000;
  Start();
  ASSERT_THAT(transcript_.lines.back(), HasSubstr("waiting job/r1/a1/0"));
  session_->CancelWork("the battery is low");
  executor_.RunReady();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_EQ(LastReport().error, "the battery is low");
  EXPECT_THAT(trainer_.runs, IsEmpty());
  EXPECT_TRUE(coordinator_.holds_check_in());
}

TEST_F(SessionTest, ADeadlineThatPassedWhileTheCoordinatorWasAwayIsReportedAsCancelled) {
  Assignment assignment = MakeAssignment("job/r1/a1/0", kLarge);
  assignment.time_left_ms = 60'000;
  coordinator_.Give(assignment);
  coordinator_.cut_download_at = 1000;
  Start();
  coordinator_.away = true;
  Advance(300'000);
  coordinator_.away = false;
  Advance(61'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_THAT(LastReport().error, HasSubstr("deadline"));
  EXPECT_THAT(LastReport().energy, ::testing::Not(IsEmpty()));
}

TEST_F(SessionTest, AReportThatCanNeverBeTakenIsGivenUpAfterFiveTries) {
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  for (int i = 0; i < 5; ++i) {
    coordinator_.replies.push_back(absl::InvalidArgumentError("weight = 7: must be 1 to 6"));
  }
  Start();
  Advance(60'000);
  EXPECT_THAT(coordinator_.reports, SizeIs(5));
  EXPECT_TRUE(
      transcript_.Has("resolved job/r1/a1/0 refused: given up after 5 tries: "
                      "INVALID_ARGUMENT: reporting: weight = 7"));
  EXPECT_TRUE(coordinator_.holds_check_in());
}

TEST_F(SessionTest, ForgetsTheOldestReportedUpdateRatherThanKeepThemAll) {
  options_.max_held = 2;
  for (const char* id : {"job/r1/a1/0", "job/r2/a1/0", "job/r3/a1/0"}) {
    coordinator_.Give(Inline(MakeAssignment(id, kSmall)));
  }
  Start();
  EXPECT_THAT(coordinator_.reports, SizeIs(3));
  EXPECT_THAT(coordinator_.check_ins.back().holding, SizeIs(2));
  EXPECT_TRUE(transcript_.Has("resolved job/r1/a1/0 unknown: no outcome came"));
}

}  // namespace
}  // namespace fedwatt
