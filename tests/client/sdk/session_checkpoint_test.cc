// Trainings that were interrupted and go on from a checkpoint: what a session hands to its trainer,
// what it writes down of joules and seconds, and what it leaves behind.

#include "client/sdk/training_run.h"
#include "client/trainers/local_work/checkpoint.h"
#include "gmock/gmock.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Ten steps, of which it saves the fifth; resumes what it finds.
class SavingTrainer final : public Trainer {
 public:
  explicit SavingTrainer(FakeClock* clock) : clock_(clock) {}
  std::string name() const override { return "fake"; }
  std::vector<std::string> artifact_formats() const override { return {"torchscript"}; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    requests.push_back(request);
    CheckpointFile file(request.checkpoint_path, request.checkpoint_identity);
    TrainProgress at{.steps_total = 10};
    if (const ByteSpan found = file.Found(); !found.empty()) {
      at.steps_done = at.steps_saved = found.size();
      progress(at);
    }
    started_at.push_back(at.steps_done);
    while (at.steps_done < at.steps_total) {
      if (cancel) return absl::CancelledError("cancelled");
      clock_->AdvanceMs(1000);
      ++at.steps_done;
      progress(at);
      if (at.steps_done == 5 && !request.checkpoint_path.empty()) {
        EXPECT_TRUE(file.Save({AsBytes(std::string(5, 's'))}, 5).ok());
        at.steps_saved = 5;
        progress(at);
      }
      if (at.steps_done == 7 && at_seven) at_seven();
    }
    if (!error.ok()) return error;
    const std::string delta(400, '\0');
    EXPECT_TRUE(WriteFileAtomic(request.output_path, delta).ok());
    TrainResult result;
    result.output_bytes = delta.size();
    result.metrics.examples = result.weight = 600;
    result.metrics.steps = 10;
    return result;
  }

  std::vector<TrainRequest> requests;
  std::vector<uint64_t> started_at;
  std::function<void()> at_seven;
  absl::Status error;

 private:
  FakeClock* const clock_;
};

class SessionCheckpointTest : public SessionTest {
 protected:
  void SetUp() override {
    SessionTest::SetUp();
    options_.checkpoint_every_ms = 1000;
    own_trainer_ = &saving_;
  }
  // Dies in the middle of the seventh step of what it works on.
  void DieAtSeven() {
    const std::string then = dir_ + "/then";
    saving_.at_seven = [&] {
      fs::remove_all(then);
      fs::copy(dir_ + "/state", then, fs::copy_options::recursive);
    };
    Start();
    saving_.at_seven = nullptr;
    ASSERT_TRUE(fs::exists(then));
    Kill();
    coordinator_.reports.clear();
    fs::remove_all(dir_ + "/state");
    fs::rename(then, dir_ + "/state");
    transcript_ = Transcript();
  }
  std::string CheckpointFileName() const {
    for (const auto& entry : fs::directory_iterator(dir_ + "/state/assignments")) {
      if (entry.path().string().find(".checkpoint") != std::string::npos) return entry.path();
    }
    return "";
  }
  // What the client says of the training that ended.
  std::string TrainedText() const {
    for (const SessionEvent& event : transcript_.events) {
      if (event.kind == SessionEventKind::kTrained) return event.text;
    }
    return "none";
  }
  const EnergySample* TrainSample() {
    for (const EnergySample& sample : LastReport().energy) {
      if (sample.phase == Phase::kTrain) return &sample;
    }
    return nullptr;
  }

  SavingTrainer saving_{&clock_};
};

TEST_F(SessionCheckpointTest, AKilledTrainingGoesOnAndItsJoulesAreBookedOnceEach) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  DieAtSeven();
  ASSERT_NE(CheckpointFileName(), "");
  Start();
  EXPECT_THAT(saving_.started_at, ::testing::ElementsAre(0, 5));
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  ASSERT_NE(TrainSample(), nullptr);
  // The meter takes 1000 uJ and 10 us a window: one up to the checkpoint, one after the restart.
  // What the steps after the checkpoint cost died with them.
  EXPECT_EQ(TrainSample()->energy_uj, 2000);
  EXPECT_NEAR(LastReport().metrics.seconds_by_phase.at("train"), 20e-6, 1e-9);
  EXPECT_EQ(CheckpointFileName(), "") << "what is trained needs none";
  EXPECT_EQ(TrainedText(), "went on from a checkpoint");
}

TEST_F(SessionCheckpointTest, OneThatIsNotInterruptedBooksTheSame) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(TrainSample()->energy_uj, 2000);
  EXPECT_EQ(CheckpointFileName(), "");
  EXPECT_EQ(TrainedText(), "");
}

TEST_F(SessionCheckpointTest, AStopIsNoLoss) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  saving_.at_seven = [&] {
    session_->Stop([] {});
    executor_.RunReady();
  };
  Start();
  saving_.at_seven = nullptr;
  Restart();
  EXPECT_THAT(saving_.started_at, ::testing::ElementsAre(0, 5));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_EQ(TrainSample()->energy_uj, 3000) << "also what the steps after the checkpoint cost";
}

TEST_F(SessionCheckpointTest, ADeathAfterACheckpointIsADeath) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  DieAtSeven();
  DieAtSeven();
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_THAT(LastReport().error, HasSubstr("quarantined"));
  EXPECT_EQ(CheckpointFileName(), "");
}

TEST_F(SessionCheckpointTest, PastItsDeadlineNothingGoesOn) {
  Assignment assignment = MakeAssignment("job/r1/a1/0", 100);
  assignment.time_left_ms = 60'000;
  coordinator_.Give(assignment);
  DieAtSeven();
  clock_.AdvanceMs(60'000);
  Start();
  ASSERT_THAT(saving_.started_at, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_EQ(CheckpointFileName(), "");
}

TEST_F(SessionCheckpointTest, OfAFailedTrainingNothingStays) {
  saving_.error = absl::InternalError("the loss is nan");
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  Start();
  EXPECT_THAT(LastReport().error, HasSubstr("the loss is nan"));
  EXPECT_EQ(CheckpointFileName(), "");
}

TEST_F(SessionCheckpointTest, EachAssignmentHasItsOwn) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  coordinator_.Give(MakeAssignment("job/r2/a1/0", 100));
  Start();
  Advance(1000);
  ASSERT_THAT(saving_.requests, SizeIs(2));
  EXPECT_NE(saving_.requests[0].checkpoint_path, saving_.requests[1].checkpoint_path);
  EXPECT_NE(saving_.requests[0].checkpoint_identity, saving_.requests[1].checkpoint_identity);
  EXPECT_EQ(saving_.started_at[1], 0u);
}

TEST_F(SessionCheckpointTest, ModelPlanAndDataAreInItsIdentity) {
  const Assignment assignment = MakeAssignment("job/r1/a1/0", 100);
  const Digest identity = CheckpointIdentity(assignment);
  Assignment same = assignment;
  same.model_steps.emplace_back();
  same.time_left_ms = 1;
  EXPECT_EQ(CheckpointIdentity(same), identity);
  Assignment other = assignment;
  other.plan.optimizer.lr = 0.7;
  EXPECT_NE(CheckpointIdentity(other), identity);
  other = assignment;
  other.model.sha256[0] ^= 1;
  EXPECT_NE(CheckpointIdentity(other), identity);
  other = assignment;
  other.bundle.sha256[0] ^= 1;
  EXPECT_NE(CheckpointIdentity(other), identity);
  other = assignment;
  other.dataset.name = "other";
  EXPECT_NE(CheckpointIdentity(other), identity);
}

TEST_F(SessionCheckpointTest, AreOffUnlessAskedFor) {
  options_.checkpoint_every_ms = 0;
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  Start();
  EXPECT_EQ(saving_.requests.at(0).checkpoint_path, "");
}

// ---- training that conditions stop

class SessionPauseTest : public SessionCheckpointTest {
 protected:
  class Battery final : public DeviceConditions {
   public:
    DeviceState Read() override {
      DeviceState state;
      state.charging = charging;
      return state;
    }
    bool charging = true;
  };

  void SetUp() override {
    SessionCheckpointTest::SetUp();
    conditions_ = &battery_;
    options_.rules.require_charging = true;
    options_.pause_limit_ms = 600'000;
    Assignment assignment = MakeAssignment("job/r1/a1/0", 100);
    assignment.time_left_ms = 3'600'000;
    coordinator_.Give(assignment);
    // The cable is pulled in the seventh step; the session sees it at its next look.
    saving_.at_seven = [this] {
      battery_.charging = false;
      executor_.RunReady();
    };
  }
  void TearDown() override {
    session_.reset();
    SessionCheckpointTest::TearDown();
  }

  Battery battery_;
};

TEST_F(SessionPauseTest, GoesOnWhenTheyAreMetAgain) {
  Start();
  saving_.at_seven = nullptr;
  EXPECT_TRUE(coordinator_.reports.empty());
  Advance(120'000);
  EXPECT_TRUE(coordinator_.reports.empty());
  battery_.charging = true;
  Advance(60'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_THAT(saving_.started_at, ::testing::ElementsAre(0, 5));
}

TEST_F(SessionPauseTest, ItsPatienceEnds) {
  Start();
  Advance(700'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_EQ(CheckpointFileName(), "");
}

TEST_F(SessionPauseTest, TheAppCanEndIt) {
  Start();
  Advance(60'000);
  session_->CancelWork("a call came in");
  Advance(1);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_THAT(LastReport().error, HasSubstr("a call came in"));
}

TEST_F(SessionPauseTest, WithoutItTheRoundLearnsOfItAtOnce) {
  options_.pause_limit_ms = 0;
  Start();
  Advance(1);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
}

}  // namespace
}  // namespace fedwatt
