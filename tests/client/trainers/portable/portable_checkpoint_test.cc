// Training that goes on from a checkpoint ends with the bits of a training that was never stopped.

#include <filesystem>

#include "client/trainers/local_work/checkpoint.h"
#include "tests/client/trainers/portable/portable_fixture.h"

namespace fedwatt {
namespace {

class PortableCheckpointTest : public PortableTrainerTest {
 protected:
  PortableCheckpointTest() {
    request_.plan.local_epochs = 3;  // of two batches of 8 and one of 4
    request_.plan.optimizer = {.kind = OptimizerKind::kAdamW, .lr = 0.01, .weight_decay = 0.01};
    request_.plan.proximal_mu = 0.1;
    request_.checkpoint_path = dir_.File("checkpoint");
    request_.checkpoint_identity[0] = 7;
  }
  static constexpr uint64_t kSteps = 9;

  // Ends the process, as far as the trainer sees, when so many steps are done.
  void StopAfter(uint64_t steps) {
    progress_ = [this, steps](const TrainProgress& at) { cancel_ = at.steps_done >= steps; };
    EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
    cancel_ = false;
    progress_ = [this](const TrainProgress& at) { first_.push_back(at.steps_done); };
    first_.clear();
  }
  // The first number of steps above zero that the last run told of.
  uint64_t ResumedAt() const {
    for (const uint64_t steps : first_) {
      if (steps > 0) return steps;
    }
    return 0;
  }
  std::string Uninterrupted() {
    const std::string path = std::exchange(request_.checkpoint_path, "");
    std::string update = Update();
    request_.checkpoint_path = path;
    return update;
  }

  std::vector<uint64_t> first_;
};

TEST_F(PortableCheckpointTest, FromEveryStepToTheSameBits) {
  const std::string whole = Uninterrupted();
  ASSERT_FALSE(whole.empty());
  for (uint64_t step = 1; step < kSteps; ++step) {
    std::filesystem::remove(request_.checkpoint_path);
    StopAfter(step);
    EXPECT_EQ(Update(), whole) << "stopped after step " << step;
    EXPECT_EQ(ResumedAt(), step) << "what was done is not done again";
  }
}

TEST_F(PortableCheckpointTest, WithEveryOptimizer) {
  for (const OptimizerSpec& spec :
       {OptimizerSpec{.lr = 0.1}, OptimizerSpec{.lr = 0.1, .momentum = 0.9, .nesterov = true},
        OptimizerSpec{.kind = OptimizerKind::kAdam, .lr = 0.01}}) {
    request_.plan.optimizer = spec;
    std::filesystem::remove(request_.checkpoint_path);
    const std::string whole = Uninterrupted();
    StopAfter(4);
    EXPECT_EQ(Update(), whole);
    EXPECT_EQ(ResumedAt(), 4u);
  }
}

TEST_F(PortableCheckpointTest, AfterBeingStoppedTwice) {
  const std::string whole = Uninterrupted();
  StopAfter(2);
  StopAfter(7);
  EXPECT_EQ(Update(), whole);
  EXPECT_EQ(ResumedAt(), 7u);
}

// The clock is asked between layers, too: at some of these instants the batch norm has counted a
// batch that was not learnt from.
TEST_F(PortableCheckpointTest, FromTheMiddleOfAStepToTheSameBits) {
  class CancellingClock final : public Clock {
   public:
    explicit CancellingClock(std::atomic<bool>* cancel) : cancel_(cancel) {}
    int64_t NowMs() const override { return 0; }
    int64_t MonotonicUs() const override {
      if (looks_ > 0 && --looks_ == 0) *cancel_ = true;
      return 0;
    }
    mutable int looks_ = 0;

   private:
    std::atomic<bool>* const cancel_;
  };
  const std::string whole = Uninterrupted();
  CancellingClock clock(&cancel_);
  int stopped = 0;
  for (int looks = 20; looks < 200; looks += 7) {
    std::filesystem::remove(request_.checkpoint_path);
    clock.looks_ = looks;
    clock_ = &clock;
    stopped += absl::IsCancelled(Run().status()) ? 1 : 0;
    clock_ = &system_clock_;
    cancel_ = false;
    EXPECT_EQ(Update(), whole) << "stopped at look " << looks;
  }
  EXPECT_GT(stopped, 10);
}

TEST_F(PortableCheckpointTest, TheLossesFromBeforeAreKept) {
  request_.plan.local_evaluation = LocalEvaluation::kBoth;
  const absl::StatusOr<TrainResult> whole = Run();
  ASSERT_TRUE(whole.ok());
  StopAfter(5);
  const absl::StatusOr<TrainResult> resumed = Run();
  ASSERT_TRUE(resumed.ok());
  EXPECT_EQ(resumed->metrics.before->loss_sum, whole->metrics.before->loss_sum);
  EXPECT_EQ(resumed->metrics.after->loss_sum, whole->metrics.after->loss_sum);
  EXPECT_EQ(resumed->metrics.steps, kSteps);
}

TEST_F(PortableCheckpointTest, EverySoOftenWithoutBeingStopped) {
  clock_ = &fake_clock_;
  request_.checkpoint_every_ms = 1000;
  std::vector<uint64_t> saved;
  progress_ = [&](const TrainProgress& at) {
    if (at.steps_saved != at.steps_done) fake_clock_.AdvanceMs(400);
    saved.push_back(at.steps_saved);
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(saved, ::testing::IsSupersetOf({3u, 6u}));
  EXPECT_TRUE(FileExists(request_.checkpoint_path)) << "the client removes it, with the work";
}

TEST_F(PortableCheckpointTest, OfOtherWorkIsRemovedAndNotUsed) {
  StopAfter(5);
  request_.checkpoint_identity[0] = 8;
  const std::string whole = Uninterrupted();
  EXPECT_EQ(Update(), whole);
  EXPECT_EQ(ResumedAt(), 1u);
  EXPECT_FALSE(FileExists(request_.checkpoint_path));
}

TEST_F(PortableCheckpointTest, DamagedInAnyByteIsRemovedAndNotUsed) {
  const std::string whole = Uninterrupted();
  StopAfter(5);
  const std::string good = ReadFile(request_.checkpoint_path, 1 << 20).value();
  for (size_t at = 0; at < good.size(); at += good.size() / 11) {
    std::string bad = good;
    bad[at] ^= 1;
    ASSERT_TRUE(WriteFileAtomic(request_.checkpoint_path, bad).ok());
    first_.clear();
    EXPECT_EQ(Update(), whole) << "byte " << at;
    EXPECT_EQ(ResumedAt(), 1u) << "byte " << at;
  }
  for (const size_t size : {size_t{0}, size_t{10}, good.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomic(request_.checkpoint_path, good.substr(0, size)).ok());
    EXPECT_EQ(Update(), whole) << "cut to " << size;
  }
}

TEST_F(PortableCheckpointTest, OfOtherDataIsNotUsed) {
  StopAfter(5);
  UseData(21, {.x_shape = {2, 4, 4}});
  const std::string whole = Uninterrupted();
  EXPECT_EQ(Update(), whole);
  EXPECT_EQ(ResumedAt(), 1u);
}

TEST_F(PortableCheckpointTest, ThatCannotBeWrittenIsNoFailure) {
  const std::string whole = Uninterrupted();
  SetWriteFaultForTest([&](const std::string& path, uint64_t) {
    return path == UnfinishedCheckpoint(request_.checkpoint_path) ? ENOSPC : 0;
  });
  StopAfter(5);
  EXPECT_FALSE(FileExists(request_.checkpoint_path));
  EXPECT_FALSE(FileExists(UnfinishedCheckpoint(request_.checkpoint_path)));
  EXPECT_EQ(Update(), whole);
  SetWriteFaultForTest(nullptr);
}

}  // namespace
}  // namespace fedwatt
