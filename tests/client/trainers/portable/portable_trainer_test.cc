#include "client/trainers/portable/portable_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/client/trainers/portable/portable_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

double MeanLoss(const std::optional<LossSums>& sums) {
  return sums->loss_sum / static_cast<double>(sums->examples);
}

TEST_F(PortableTrainerTest, TrainingLowersTheLossAndReportsWhatItDid) {
  request_.plan.local_epochs = 30;
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->metrics.examples, 20u);
  EXPECT_EQ(result->metrics.steps, 90u);  // 30 epochs of two batches of 8 and one of 4
  EXPECT_EQ(result->weight, 20u);
  EXPECT_LT(MeanLoss(result->metrics.after), 0.85 * MeanLoss(result->metrics.before));
  EXPECT_EQ(result->metrics.after->predictions, 20u);
  const uint64_t buffers = 4 * 4 + 4 * 4 + 8;
  EXPECT_EQ(result->output_bytes, small_.header.manifest.TrainableElements() * 4 + buffers);
}

// What a step of plain SGD changes is the gradient; the loss itself says what it must be.
TEST_F(PortableTrainerTest, GradientsAreTheSlopeOfTheLoss) {
  request_.plan.local_epochs = 0;
  request_.plan.local_steps = 1;
  request_.plan.batch_size = 20;
  request_.plan.optimizer.lr = 1;
  // Normalised by running statistics also in training: the loss of an evaluation is the step's.
  SmallGraph small = MakeSmallGraph();
  small.graph.layers[1].ints[graph_at::kBatchStatsTrain] = 0;
  Use(std::move(small));
  const std::string update = Update();
  const std::vector<uint8_t> base = Tensors();
  request_.kind = AssignmentKind::kEvaluate;
  const auto loss_at = [&](uint64_t offset, float by) {
    std::vector<uint8_t> moved = base;
    float value = 0;
    std::memcpy(&value, moved.data() + offset, 4);
    value += by;
    std::memcpy(moved.data() + offset, &value, 4);
    request_.model_path = dir_.File("moved");
    EXPECT_TRUE(WriteFileAtomic(request_.model_path, AsText(moved)).ok());
    return MeanLoss(Run()->metrics.after);
  };
  constexpr float kStep = 2e-3F;
  for (uint64_t i = 0; i < small_.header.manifest.TrainableElements(); i += 5) {
    float delta = 0;
    std::memcpy(&delta, update.data() + 4 * i, 4);
    const double slope = (loss_at(4 * i, kStep) - loss_at(4 * i, -kStep)) / (2 * kStep);
    EXPECT_NEAR(-delta, slope, 2e-3) << "coordinate " << i;
  }
}

TEST_F(PortableTrainerTest, EqualRequestsGiveEqualBits) {
  const std::string first = Update();
  EXPECT_EQ(Update(), first);
  request_.key.round = 2;
  EXPECT_NE(Update(), first);
  request_.key.round = 1;
  request_.seed_key = "client-2";
  EXPECT_NE(Update(), first);
}

TEST_F(PortableTrainerTest, MemoryIsCountedBeforeItIsTaken) {
  const auto result = Run(1000);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("the trainer's memory limit is 1.0 kB"));
  request_.plan.memory_limit_bytes = 2000;
  ExpectError(absl::StatusCode::kResourceExhausted, "limit is 2.0 kB");
  request_.plan.memory_limit_bytes = 0;
  // Never allocated: the count alone refuses it.
  UseData(uint64_t{1} << 31, {.x_shape = {2, 4, 4}});
  request_.plan.batch_size = 1 << 30;
  const absl::StatusCode code = Run().status().code();
  EXPECT_TRUE(code == absl::StatusCode::kResourceExhausted ||
              code == absl::StatusCode::kInvalidArgument);
}

TEST_F(PortableTrainerTest, StopsWithinAStepWhenCancelled) {
  request_.plan.local_epochs = 1'000;
  progress_ = [this](const TrainProgress& progress) { cancel_ = progress.steps_done == 3; };
  ExpectError(absl::StatusCode::kCancelled, "after 3 steps");
}

TEST_F(PortableTrainerTest, StopsAtItsTimeLimit) {
  clock_ = &fake_clock_;
  request_.time_left_ms = 1'000;
  request_.plan.local_epochs = 1'000;
  progress_ = [this](const TrainProgress&) { fake_clock_.AdvanceMs(300); };
  ExpectError(absl::StatusCode::kDeadlineExceeded, "the time limit of 1000 ms ended");
}

TEST_F(PortableTrainerTest, ABundleWithoutAGraphIsForLibTorch) {
  BundleHeader header = small_.header;
  header.artifacts = {{"torchscript", "1.13.1", {}, 0, 0}};
  const std::string module = "PK";
  ASSERT_TRUE(
      BundleWriter::Write(request_.bundle_path, header, {AsBytes(module)}, Tensors(), nullptr)
          .ok());
  ExpectError(absl::StatusCode::kInvalidArgument, "carries no training graph");
}

TEST_F(PortableTrainerTest, AGraphThatDoesNotFitItsManifestIsRefused) {
  SmallGraph small = MakeSmallGraph();
  small.graph.layers[7].tensors[0] = 1;
  Use(std::move(small));
  ExpectError(absl::StatusCode::kInvalidArgument, "layer 7 \"fc\" (linear)");
}

TEST_F(PortableTrainerTest, DataThatDoNotFitAreRefused) {
  UseData(20, {.x_shape = {3, 4, 4}});
  ExpectError(absl::StatusCode::kInvalidArgument, "examples have shape [3, 4, 4]");
  UseData(20, {.x_shape = {2, 4, 4}, .classes = 9});
  ExpectError(absl::StatusCode::kInvalidArgument, "the model has classes 0 to 2");
  UseData(20, {.x_shape = {2, 4, 4}, .y_shape = {3}, .y_dtype = DType::kF32});
  ExpectError(absl::StatusCode::kInvalidArgument, "targets are float32 [20, 3]");
  UseData(0, {.x_shape = {2, 4, 4}});
  ExpectError(absl::StatusCode::kInvalidArgument, "no examples");
}

TEST_F(PortableTrainerTest, ALearningRateThatIsTooHighIsNamed) {
  request_.plan.optimizer.lr = 1e12;
  ExpectError(absl::StatusCode::kInvalidArgument, "lower plan.optimizer.lr");
}

TEST_F(PortableTrainerTest, EverythingFrozenIsAnError) {
  request_.plan.frozen = {"conv.*", "bn.*", "gn.*", "fc.*"};
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PortableTrainerTest, AnotherBundleThanTheVerifiedOneIsNotRun) {
  request_.bundle_header_sha256[0] = 1;
  ExpectError(absl::StatusCode::kDataLoss, "replaced since");
}

}  // namespace
}  // namespace fedwatt
