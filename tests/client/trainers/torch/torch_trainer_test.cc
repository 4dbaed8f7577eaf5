#include "client/trainers/torch/torch_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/client/trainers/torch/torch_test_support.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

ZooOptions SmallMlp() {
  ZooOptions options;
  options.classes = 3;
  options.hidden = {16};
  options.input_shape = {4};
  return options;
}

class TrainerTest : public TorchTest {
 protected:
  void UseMlp() {
    data_ = Clusters(100);
    UseModel(BuildModel(*ZooModel("mlp", SmallMlp()), 7));
  }
  void UseNorm() {
    data_ = Clusters(90);
    UseModel(ImportFixture("norm", ClusterOptions()));
  }
  // y = w x, w = 0.5 at the start, one batch of everything.
  void UseLine(const std::vector<std::pair<float, float>>& pairs) {
    data_ = Pairs(pairs);
    UseModel(ImportFixture("line", LineOptions()));
    request_.plan.batch_size = 64;
    request_.plan.local_epochs = 0;
    request_.plan.local_steps = 3;
  }
};

double MeanLoss(const LossSums& sums) { return sums.loss_sum / static_cast<double>(sums.examples); }

TEST_F(TrainerTest, TrainingLowersTheLossAndReportsWhatItDid) {
  UseMlp();
  request_.plan.local_epochs = 3;
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  const UpdateMetrics& metrics = result->metrics;
  EXPECT_EQ(metrics.examples, 100u);
  EXPECT_EQ(metrics.steps, 39u);  // 3 epochs of 12 batches of 8 and one of 4
  EXPECT_EQ(result->weight, 100u);
  EXPECT_LT(MeanLoss(*metrics.after), 0.5 * MeanLoss(*metrics.before));
  EXPECT_GT(metrics.after->correct, 95u);
  EXPECT_EQ(metrics.after->predictions, 100u);
  EXPECT_GE(metrics.after->loss_sq_sum * 100, metrics.after->loss_sum * metrics.after->loss_sum);
  EXPECT_THAT(
      metrics.seconds_by_phase,
      UnorderedElementsAre(Pair("load", Ge(0)), Pair("train", Ge(0)), Pair("evaluate", Ge(0))));
  EXPECT_GT(metrics.peak_memory_bytes, 10'000'000u);
  EXPECT_GT(result->cpu_time_us, 0);
  EXPECT_EQ(result->output_bytes, manifest_.TrainableElements() * sizeof(float));
}

TEST_F(TrainerTest, EqualRequestsGiveEqualBitsWhateverRanBefore) {
  UseNorm();  // dropout draws random numbers
  const std::string first = Update();
  EXPECT_EQ(Update(), first);
  request_.key.round = 2;
  EXPECT_NE(Update(), first);
  request_.key.round = 1;
  request_.seed_key = "client-2";
  EXPECT_NE(Update(), first);
  request_.seed_key = "client-1";
  EXPECT_EQ(Update(), first);
  const std::unique_ptr<Trainer> fresh = NewTrainer();
  EXPECT_EQ(Update(*fresh), first);
}

TEST_F(TrainerTest, AttributesThatAGraphChangesDoNotOutliveARun) {
  data_ = Pairs({{1, 1}, {2, 2}});
  UseModel(ImportFixture("stateful", LineOptions()));
  const std::string first = Update();
  EXPECT_EQ(Update(), first);
  // The replaced buffer travels with its new value; evaluations leave no trace in it.
  EXPECT_FLOAT_EQ(AsFloats(first).back(), 1);
  request_.plan.local_evaluation = LocalEvaluation::kNone;
  EXPECT_EQ(Update(), first);
}

TEST_F(TrainerTest, LocalStepsGoOnOverEpochsAndCountDistinctExamples) {
  UseMlp();
  request_.plan.local_epochs = 0;
  request_.plan.local_steps = 5;
  auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->metrics.steps, 5u);
  EXPECT_EQ(result->metrics.examples, 40u);
  request_.plan.local_steps = 30;
  request_.plan.weight_by = WeightBy::kUniform;
  result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->metrics.examples, 100u);
  EXPECT_EQ(result->weight, 1u);
}

// The references below compute in double what three full-batch steps do to w.
struct Reference {
  std::vector<std::pair<float, float>> pairs;
  double w = 0.5;
  double Gradient() const {
    double sum = 0;
    for (const auto& [x, y] : pairs) sum += 2 * (w * x - y) * x;
    return sum / static_cast<double>(pairs.size());
  }
};

const std::vector<std::pair<float, float>> kPairs = {{1, 2}, {-2, -3}, {0.5, 2}};

TEST_F(TrainerTest, SgdWithNesterovMomentumAndWeightDecay) {
  UseLine(kPairs);
  request_.plan.optimizer = {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true};
  Reference reference{kPairs};
  double velocity = 0;
  for (int step = 0; step < 3; ++step) {
    const double gradient = reference.Gradient() + 0.1 * reference.w;
    velocity = step == 0 ? gradient : 0.9 * velocity + gradient;
    reference.w -= 0.05 * (gradient + 0.9 * velocity);
  }
  EXPECT_THAT(AsFloats(Update()), ElementsAre(testing::FloatNear(reference.w - 0.5, 1e-5)));
}

TEST_F(TrainerTest, SgdWithPlainMomentum) {
  UseLine(kPairs);
  request_.plan.optimizer = {.lr = 0.05, .momentum = 0.5};
  Reference reference{kPairs};
  double velocity = 0;
  for (int step = 0; step < 3; ++step) {
    velocity = 0.5 * velocity + reference.Gradient();
    reference.w -= 0.05 * velocity;
  }
  EXPECT_THAT(AsFloats(Update()), ElementsAre(testing::FloatNear(reference.w - 0.5, 1e-5)));
}

double AdamReference(bool decoupled) {
  constexpr double kLr = 0.05, kBeta1 = 0.8, kBeta2 = 0.95, kEps = 1e-6, kDecay = 0.1;
  Reference reference{kPairs};
  double m = 0, v = 0;
  for (int step = 1; step <= 3; ++step) {
    double gradient = reference.Gradient();
    if (decoupled) {
      reference.w *= 1 - kLr * kDecay;
    } else {
      gradient += kDecay * reference.w;
    }
    m = kBeta1 * m + (1 - kBeta1) * gradient;
    v = kBeta2 * v + (1 - kBeta2) * gradient * gradient;
    const double m_hat = m / (1 - std::pow(kBeta1, step));
    const double v_hat = v / (1 - std::pow(kBeta2, step));
    reference.w -= kLr * m_hat / (std::sqrt(v_hat) + kEps);
  }
  return reference.w - 0.5;
}

TEST_F(TrainerTest, AdamAndAdamW) {
  UseLine(kPairs);
  request_.plan.optimizer = {.kind = OptimizerKind::kAdam,
                             .lr = 0.05,
                             .weight_decay = 0.1,
                             .beta1 = 0.8,
                             .beta2 = 0.95,
                             .eps = 1e-6};
  EXPECT_THAT(AsFloats(Update()), ElementsAre(testing::FloatNear(AdamReference(false), 1e-5)));
  request_.plan.optimizer.kind = OptimizerKind::kAdamW;
  EXPECT_THAT(AsFloats(Update()), ElementsAre(testing::FloatNear(AdamReference(true), 1e-5)));
}

TEST_F(TrainerTest, ClippingBoundsTheGradientNorm) {
  UseLine({{10, 100}});  // gradient 2 (5 - 100) 10 = -1900
  request_.plan.optimizer.lr = 0.1;
  request_.plan.local_steps = 1;
  request_.plan.clip_grad_norm = 2;
  EXPECT_THAT(AsFloats(Update()), ElementsAre(testing::FloatNear(0.2, 1e-6)));
}

TEST_F(TrainerTest, TheProximalTermAddsItsGradient) {
  UseLine(kPairs);
  request_.plan.optimizer.lr = 0.05;
  request_.plan.proximal_mu = 2;
  Reference reference{kPairs};
  for (int step = 0; step < 3; ++step) {
    reference.w -= 0.05 * (reference.Gradient() + 2 * (reference.w - 0.5));
  }
  EXPECT_THAT(AsFloats(Update()), ElementsAre(testing::FloatNear(reference.w - 0.5, 1e-5)));
}

TEST_F(TrainerTest, AStrongerProximalTermKeepsTheModelNearerToItsBase) {
  UseMlp();
  const auto norm = [&] {
    double squares = 0;
    for (const float value : AsFloats(Update())) squares += double{value} * value;
    return std::sqrt(squares);
  };
  const double free = norm();
  request_.plan.proximal_mu = 5;
  EXPECT_LT(norm(), 0.5 * free);
}

TEST_F(TrainerTest, FrozenParametersStayAndAreNotSent) {
  UseMlp();
  request_.plan.frozen = {"fc1.*"};
  EXPECT_EQ(Update().size(), (16 * 3 + 3) * sizeof(float));
  // With everything but the bias frozen, the loss can still fall a little only.
  request_.plan.frozen = {"*.weight", "fc1.bias"};
  EXPECT_EQ(Update().size(), 3 * sizeof(float));
}

TEST_F(TrainerTest, AFrozenPatternThatMatchesNothingIsRefused) {
  UseMlp();
  request_.plan.frozen = {"conv*"};
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("conv*"));
}

// The fixture has 83 coordinates and the buffers running_mean, running_var (8 floats each) and
// num_batches_tracked (one int64).
constexpr size_t kNormDelta = 83 * sizeof(float);
constexpr size_t kNormBuffers = 16 * sizeof(float) + sizeof(int64_t);

int64_t BatchesTracked(const std::string& update) {
  int64_t count = 0;
  std::memcpy(&count, update.data() + update.size() - sizeof(count), sizeof(count));
  return count;
}

TEST_F(TrainerTest, AveragedBuffersTravelBehindTheDelta) {
  UseNorm();
  const std::string update = Update();
  ASSERT_EQ(update.size(), kNormDelta + kNormBuffers);
  EXPECT_EQ(BatchesTracked(update), 12);  // 90 examples in batches of 8
}

TEST_F(TrainerTest, LocalBuffersAreTrainedButNotSent) {
  UseNorm();
  const std::string averaged = Update();
  request_.plan.buffers = BufferMode::kLocal;
  EXPECT_EQ(Update(), averaged.substr(0, kNormDelta));
}

TEST_F(TrainerTest, LocalBuffersGoOnFromTheRoundBefore) {
  UseNorm();
  request_.plan.buffers = BufferMode::kLocal;
  request_.local_buffers_path = dir_ + "/own-buffers";
  const auto first = Run();
  ASSERT_TRUE(first.ok()) << first.status();
  const auto kept = ReadFile(request_.local_buffers_path, 1 << 20);
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_EQ(kept->size(), kNormBuffers);
  EXPECT_EQ(BatchesTracked(*kept), 12);
  const auto second = Run();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(BatchesTracked(*ReadFile(request_.local_buffers_path, 1 << 20)), 24);
  EXPECT_NE(second->metrics.before->loss_sum, first->metrics.before->loss_sum)
      << "the same parameters, evaluated with the client's own buffers";
}

TEST_F(TrainerTest, LocalBuffersOfAnotherModelAreNotUsed) {
  UseNorm();
  request_.plan.buffers = BufferMode::kLocal;
  const std::string fresh = Update();
  request_.local_buffers_path = dir_ + "/own-buffers";
  ASSERT_TRUE(WriteFileAtomic(request_.local_buffers_path, "too short").ok());
  EXPECT_EQ(Update(), fresh);
}

TEST_F(TrainerTest, FrozenBuffersKeepTheModelsValues) {
  UseNorm();
  request_.plan.buffers = BufferMode::kAverage;
  const auto averaged = Run();
  request_.plan.buffers = BufferMode::kFrozen;
  EXPECT_EQ(Update().size(), kNormDelta);
  const auto frozen = Run();
  ASSERT_TRUE(averaged.ok() && frozen.ok());
  // The same parameters evaluated with other buffers.
  EXPECT_EQ(frozen->metrics.before->loss_sum, averaged->metrics.before->loss_sum);
  EXPECT_NE(frozen->metrics.after->loss_sum, averaged->metrics.after->loss_sum);
}

TEST_F(TrainerTest, LocalEvaluationIsDoneAsPlanned) {
  UseMlp();
  request_.plan.local_evaluation = LocalEvaluation::kNone;
  auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->metrics.before.has_value());
  EXPECT_FALSE(result->metrics.after.has_value());
  request_.plan.local_evaluation = LocalEvaluation::kAfter;
  request_.plan.local_evaluation_examples = 10;
  result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->metrics.before.has_value());
  EXPECT_EQ(result->metrics.after->examples, 10u);
}

TEST_F(TrainerTest, TheEvaluatedSubsetIsTheSameInEveryRound) {
  UseMlp();
  request_.plan.local_evaluation = LocalEvaluation::kBefore;
  request_.plan.local_evaluation_examples = 10;
  const auto first = Run();
  request_.key.round = 9;
  const auto later = Run();
  ASSERT_TRUE(first.ok() && later.ok());
  EXPECT_EQ(first->metrics.before->loss_sum, later->metrics.before->loss_sum);
}

TEST_F(TrainerTest, MetricsOfTheModuleBecomeNamedValuesPerExample) {
  UseNorm();
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->metrics.named, UnorderedElementsAre(Key("constant"), Key("top2")));
  EXPECT_DOUBLE_EQ(result->metrics.named.at("constant"), 3);
  EXPECT_GT(result->metrics.named.at("top2"), 0.8);
  EXPECT_LE(result->metrics.named.at("top2"), 1);
}

TEST_F(TrainerTest, AnEvaluationAssignmentOnlyEvaluates) {
  UseMlp();
  request_.kind = AssignmentKind::kEvaluate;
  request_.output_path = dir_ + "/none";
  request_.plan.max_examples = 40;
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->metrics.after->examples, 40u);
  EXPECT_EQ(result->metrics.steps, 0u);
  EXPECT_EQ(result->weight, 40u);
  EXPECT_EQ(result->output_bytes, 0u);
  EXPECT_FALSE(FileExists(request_.output_path));
}

TEST_F(TrainerTest, ASequenceModelLearnsTextAndCountsEveryCharacter) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "abcabcabcabc";
  ASSERT_TRUE(WriteFileAtomic(dir_ + "/text", text).ok());
  const auto config = DatasetConfig::Parse("t=text:" + dir_ + "/text?sequence=10");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto opened = OpenDataset(*config);
  ASSERT_TRUE(opened.ok()) << opened.status();
  data_ = *opened;
  ZooOptions options;
  options.sequence_length = 10;
  UseModel(BuildModel(*ZooModel("char-lstm", options), 1));
  request_.plan.optimizer = {.kind = OptimizerKind::kAdam, .lr = 0.01};
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->metrics.after->predictions, data_->size() * 10);
  EXPECT_NEAR(MeanLoss(*result->metrics.before), std::log(97), 0.2);
  EXPECT_LT(MeanLoss(*result->metrics.after), 2);
}

TEST_F(TrainerTest, NegativeTargetsArePaddingAndNotCounted) {
  auto data =
      std::make_shared<MemoryDataset>(std::vector<int64_t>{4}, std::vector<int64_t>{}, DType::kI64);
  data->Add({1, 0, 0, 0}, {0});
  data->Add({0, 1, 0, 0}, {-100});
  data_ = data;
  UseModel(BuildModel(*ZooModel("mlp", SmallMlp()), 7));
  request_.kind = AssignmentKind::kEvaluate;
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->metrics.after->examples, 2u);
  EXPECT_EQ(result->metrics.after->predictions, 1u);
}

TEST_F(TrainerTest, ATargetOutsideOfTheClassesIsAnErrorNotACrash) {
  auto data =
      std::make_shared<MemoryDataset>(std::vector<int64_t>{4}, std::vector<int64_t>{}, DType::kI64);
  data->Add({1, 0, 0, 0}, {3});
  data_ = data;
  UseModel(BuildModel(*ZooModel("mlp", SmallMlp()), 7));
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("out of bounds"));
}

TEST_F(TrainerTest, AMeanLossGivesTheSameUpdateAndSumOfLosses) {
  UseLine(kPairs);
  const std::vector<float> per_example = AsFloats(Update());
  const auto exact = Run();
  UseModel(ImportFixture("mean_line", LineOptions()));
  EXPECT_THAT(AsFloats(Update()), testing::Pointwise(testing::FloatNear(1e-6), per_example));
  const auto mean = Run();
  ASSERT_TRUE(exact.ok() && mean.ok());
  EXPECT_NEAR(mean->metrics.before->loss_sum, exact->metrics.before->loss_sum, 1e-5);
  EXPECT_LT(mean->metrics.before->loss_sq_sum, exact->metrics.before->loss_sq_sum);
}

TEST_F(TrainerTest, ALossThatIsNotANumberNamesStepAndRate) {
  UseLine({{1e20f, 1e20f}});
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("at step 1 (lr 0.1"));
}

TEST_F(TrainerTest, CancellationStopsWithinAStep) {
  UseMlp();
  uint64_t seen = 0;
  progress_ = [&](const TrainProgress& progress) {
    seen = progress.steps_done;
    if (seen == 3) cancel_ = true;
  };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(seen, 3u);
  cancel_ = false;
  progress_ = nullptr;
  EXPECT_TRUE(Run().ok()) << "the trainer can be used again";
}

TEST_F(TrainerTest, TheTimeLimitStopsBetweenSteps) {
  clock_ = &fake_clock_;
  UseMlp();
  request_.plan.local_evaluation = LocalEvaluation::kNone;
  request_.plan.time_limit_ms = 1'000;
  uint64_t steps = 0;
  progress_ = [&](const TrainProgress& progress) {
    steps = progress.steps_done;
    fake_clock_.AdvanceMs(300);
  };
  auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(steps, 3u);
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("1000 ms ended after 3 of 13 steps"));
  request_.plan.time_limit_ms = 3'600'000;
  request_.time_left_ms = 500;
  result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(steps, 1u);
}

TEST_F(TrainerTest, ProgressCountsStepsUpToTheTotal) {
  UseMlp();
  TrainProgress last;
  progress_ = [&](const TrainProgress& progress) {
    EXPECT_GE(progress.steps_done, last.steps_done);
    last = progress;
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(last.steps_done, 13u);
  EXPECT_EQ(last.steps_total, 13u);
  EXPECT_GT(last.loss, 0);
}

TEST_F(TrainerTest, DataThatDoesNotFitTheModelIsRefused) {
  UseMlp();
  data_ = Pairs({{1, 1}});
  auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("[1], model mlp takes [4]"));
  trainer_.reset();
  data_ = Clusters(0);
  result = Run();
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("no examples"));
}

TEST_F(TrainerTest, AModelFileOfTheWrongSizeIsRefused) {
  UseMlp();
  ASSERT_TRUE(WriteFileAtomic(request_.model_path, "too short").ok());
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()),
              testing::AllOf(HasSubstr(request_.model_path), HasSubstr("9 bytes")));
}

TEST_F(TrainerTest, WithoutAModelFileTheBundlesTensorsAreUsed) {
  UseMlp();
  const std::string from_file = Update();
  request_.model_path = "";
  EXPECT_EQ(Update(), from_file);
}

TEST_F(TrainerTest, AManifestThatDiffersFromTheModuleIsRefused) {
  auto parts = ImportFixture("line", LineOptions());
  ASSERT_TRUE(parts.ok()) << parts.status();
  data_ = Pairs(kPairs);
  parts->header.manifest = *Manifest::Create({{.name = "v", .shape = {1}}});
  UseModel(parts);
  EXPECT_THAT(std::string(Run().status().message()),
              HasSubstr("tensor 0 is w in the module and v in the manifest"));
  parts->header.manifest = *Manifest::Create({{.name = "w", .shape = {1, 1}}});
  UseModel(parts);
  EXPECT_THAT(std::string(Run().status().message()),
              HasSubstr("w has shape [1] in the module and [1, 1] in the manifest"));
}

TEST_F(TrainerTest, ADeviceThatIsNotThereIsRefusedWithAWayOut) {
  UseMlp();
  const std::unique_ptr<Trainer> trainer =
      MakeTorchTrainer({.open_dataset = [this](const DatasetConfig&)
                            -> absl::StatusOr<std::shared_ptr<const Dataset>> { return data_; },
                        .clock = clock_,
                        .device = "tpu"});
  const auto result = Run(*trainer);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("auto, cpu or cuda"));
}

}  // namespace
}  // namespace fedwatt
