// LibTorch training that goes on from a checkpoint ends with the bits of one that was never
// stopped.

#include <filesystem>

#include "tests/client/trainers/torch/torch_test_support.h"

namespace fedwatt {
namespace {

class TorchCheckpointTest : public TorchTest {
 protected:
  // Dropout draws random numbers, batch norm keeps statistics.
  void SetUp() override {
    data_ = Clusters(90);
    UseModel(ImportFixture("norm", ClusterOptions()));
    request_.plan.local_epochs = 0;
    request_.plan.local_steps = 6;
    request_.checkpoint_identity[0] = 7;
    UseCheckpoint();
  }
  void UseCheckpoint() {
    request_.checkpoint_path = dir_ + "/checkpoint";
    std::filesystem::remove(request_.checkpoint_path);
  }
  std::string Uninterrupted() {
    request_.checkpoint_path.clear();
    std::string update = Update();
    UseCheckpoint();
    return update;
  }
  // The process ends, as far as a trainer sees, after so many steps; another one goes on. Gives the
  // step that it went on from.
  uint64_t StopAndResume(uint64_t after, std::string* update) {
    progress_ = [this, after](const TrainProgress& at) { cancel_ = at.steps_done >= after; };
    EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
    cancel_ = false;
    uint64_t first = 0;
    progress_ = [&first](const TrainProgress& at) {
      if (first == 0) first = at.steps_done;
    };
    const std::unique_ptr<Trainer> fresh = NewTrainer();
    *update = Update(*fresh);
    progress_ = nullptr;
    return first;
  }
};

TEST_F(TorchCheckpointTest, WithEveryOptimizerToTheSameBits) {
  for (const OptimizerSpec& spec :
       {OptimizerSpec{.lr = 0.1}, OptimizerSpec{.lr = 0.1, .momentum = 0.9, .nesterov = true},
        OptimizerSpec{.kind = OptimizerKind::kAdam, .lr = 0.01},
        OptimizerSpec{.kind = OptimizerKind::kAdamW, .lr = 0.01, .weight_decay = 0.1}}) {
    request_.plan.optimizer = spec;
    const std::string whole = Uninterrupted();
    for (const uint64_t step : {1, 4, 5}) {
      UseCheckpoint();
      std::string update;
      EXPECT_EQ(StopAndResume(step, &update), step);
      EXPECT_EQ(update, whole) << "optimizer " << static_cast<int>(spec.kind) << ", step " << step;
    }
  }
}

TEST_F(TorchCheckpointTest, KeepsTheLossesFromBefore) {
  request_.checkpoint_path.clear();
  const absl::StatusOr<TrainResult> whole = Run();
  UseCheckpoint();
  progress_ = [this](const TrainProgress& at) { cancel_ = at.steps_done >= 3; };
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
  cancel_ = false;
  progress_ = nullptr;
  const absl::StatusOr<TrainResult> resumed = Run();
  ASSERT_TRUE(whole.ok() && resumed.ok());
  EXPECT_EQ(resumed->metrics.before->loss_sum, whole->metrics.before->loss_sum);
  EXPECT_EQ(resumed->metrics.after->loss_sum, whole->metrics.after->loss_sum);
}

TEST_F(TorchCheckpointTest, OfOtherWorkOrDamagedIsNotUsed) {
  const std::string whole = Uninterrupted();
  std::string update;
  StopAndResume(3, &update);
  std::string bytes = ReadFile(request_.checkpoint_path, 1 << 20).value();
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(request_.checkpoint_path, bytes).ok());
  EXPECT_EQ(Update(), whole);
  EXPECT_FALSE(FileExists(request_.checkpoint_path));
  StopAndResume(3, &update);
  request_.checkpoint_identity[0] = 8;
  EXPECT_EQ(Update(), whole);
  EXPECT_FALSE(FileExists(request_.checkpoint_path));
}

// What it keeps in attributes is not in a checkpoint: it begins at the start.
TEST_F(TorchCheckpointTest, AModelThatChangesItsAttributesHasNone) {
  data_ = Pairs({{1, 1}, {2, 2}});
  UseModel(ImportFixture("stateful", LineOptions()));
  const std::string whole = Uninterrupted();
  std::string update;
  EXPECT_EQ(StopAndResume(3, &update), 1u);
  EXPECT_EQ(update, whole);
}

}  // namespace
}  // namespace fedwatt
