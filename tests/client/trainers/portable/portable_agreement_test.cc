// The same plan on the same bundle: what LibTorch and the portable trainer send must agree.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "client/trainers/portable/portable_trainer.h"
#include "client/trainers/torch/model_io.h"
#include "client/trainers/torch/torch_trainer.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/bundle/bundle.h"
#include "common/graph/training_graph.h"
#include "tests/client/trainers/portable/random_dataset.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr double kTolerance = 1e-5;
constexpr uint64_t kExamples = 30;

ImportOptions Images() { return {.name = "images", .input_shape = {2, 8, 8}}; }
ImportOptions Numbers() { return {.name = "numbers", .input_shape = {6}}; }
ImportOptions Words() {
  return {.name = "words",
          .task = ModelTask::kSequence,
          .input_shape = {5},
          .input_dtype = DType::kI64};
}
ImportOptions Regression() {
  return {.name = "regression", .task = ModelTask::kRegression, .input_shape = {6}};
}

absl::StatusOr<ModelParts> Import(const std::string& fixture, const ImportOptions& options) {
  const char* bin = std::getenv("FEDWATT_BIN_DIR");
  const auto file = MappedFile::Open(std::string(bin == nullptr ? "." : bin) +
                                     "/tests/graph_fixtures/" + fixture + ".pt");
  if (!file.ok()) return file.status();
  return ImportModule(file->bytes(), options);
}

RandomDataset::Layout LayoutFor(const BundleHeader& header) {
  RandomDataset::Layout layout{.x_shape = header.input_shape, .x_dtype = header.input_dtype};
  if (header.task == ModelTask::kRegression) {
    layout.y_shape = {2};
    layout.y_dtype = DType::kF32;
  } else if (header.task == ModelTask::kSequence) {
    layout.y_shape = header.input_shape;
    layout.classes = 11;
  }
  return layout;
}

struct Outcome {
  TrainResult result;
  std::string update;
};

class AgreementTest : public testing::Test {
 protected:
  AgreementTest() {
    request_.assignment_id = "job/r1/a1/0";
    request_.key = {"job", 1, 1, false};
    request_.seed_key = "client-1";
    request_.plan.optimizer.lr = 0.1;
    request_.plan.batch_size = 7;  // 30 examples: the last batch of an epoch has two
    request_.plan.local_epochs = 2;
  }

  // What was derived, so that a test can look at it.
  TrainingGraph Use(const absl::StatusOr<ModelParts>& parts) {
    EXPECT_TRUE(parts.ok()) << parts.status();
    if (!parts.ok()) return {};
    EXPECT_EQ(parts->why_no_graph, "");
    header_ = parts->header;
    data_ = std::make_shared<RandomDataset>(kExamples, LayoutFor(header_));
    request_.bundle_path = dir_.File("model.fwb");
    request_.model_path = dir_.File("tensors");
    EXPECT_TRUE(BundleWriter::Write(request_.bundle_path, header_, parts->artifacts(),
                                    parts->tensors, nullptr)
                    .ok());
    EXPECT_TRUE(WriteFileAtomic(request_.model_path, AsText(parts->tensors)).ok());
    return ParseTrainingGraph(AsBytes(parts->graph)).value_or(TrainingGraph());
  }

  Outcome Run(Trainer& trainer) {
    request_.output_path = dir_.File(trainer.name() + ".update");
    const std::atomic<bool> cancel{false};
    const auto result = trainer.Run(request_, cancel, nullptr);
    EXPECT_TRUE(result.ok()) << trainer.name() << ": " << result.status();
    if (!result.ok()) return {};
    return {*result, ReadFile(request_.output_path, uint64_t{1} << 30).value_or("")};
  }

  Outcome RunTorch() {
    const auto open =
        [this](const DatasetConfig&) -> absl::StatusOr<std::shared_ptr<const Dataset>> {
      return data_;
    };
    return Run(*MakeTorchTrainer({.open_dataset = open, .clock = &clock_, .device = "cpu"}));
  }
  Outcome RunPortable() {
    const auto open =
        [this](const DatasetConfig&) -> absl::StatusOr<std::shared_ptr<const Dataset>> {
      return data_;
    };
    return Run(*MakePortableTrainer({.open_dataset = open, .clock = &clock_}));
  }

  void ExpectAgreement() {
    const Outcome torch = RunTorch();
    const Outcome portable = RunPortable();
    ExpectEqualUpdates(torch.update, portable.update);
    const UpdateMetrics &a = torch.result.metrics, &b = portable.result.metrics;
    EXPECT_EQ(a.examples, b.examples);
    EXPECT_EQ(a.steps, b.steps);
    EXPECT_EQ(torch.result.weight, portable.result.weight);
    ExpectEqualSums(a.before, b.before);
    ExpectEqualSums(a.after, b.after);
  }

  // Deltas in float32, then buffers in their own types.
  void ExpectEqualUpdates(const std::string& torch, const std::string& portable) {
    ASSERT_EQ(torch.size(), portable.size());
    const auto layout =
        MakeUpdateLayout(header_.manifest, request_.plan.frozen, request_.plan.buffers);
    ASSERT_TRUE(layout.ok()) << layout.status();
    const uint64_t deltas = layout->coordinates * sizeof(float);
    EXPECT_LE(LargestDifference(torch, portable, 0, deltas), kTolerance);
    EXPECT_GT(LargestDifference(torch, std::string(torch.size(), '\0'), 0, deltas), 1e-3)
        << "nothing was trained";
    for (const UpdateLayout::Piece& piece : layout->buffers) {
      const TensorSpec& spec = header_.manifest.tensors()[piece.tensor];
      const uint64_t at = deltas + piece.offset;
      if (spec.dtype == DType::kF32) {
        EXPECT_LE(LargestDifference(torch, portable, at, spec.Bytes()), kTolerance) << spec.name;
      } else {
        EXPECT_EQ(torch.substr(at, spec.Bytes()), portable.substr(at, spec.Bytes())) << spec.name;
      }
    }
  }

  static double LargestDifference(const std::string& a, const std::string& b, uint64_t at,
                                  uint64_t bytes) {
    double largest = 0;
    for (uint64_t i = at; i < at + bytes; i += sizeof(float)) {
      float x = 0, y = 0;
      std::memcpy(&x, a.data() + i, sizeof(x));
      std::memcpy(&y, b.data() + i, sizeof(y));
      const double difference = std::abs(static_cast<double>(x) - y);
      if (!(difference <= largest)) largest = difference;  // not a number: stays
    }
    return largest;
  }

  static void ExpectEqualSums(const std::optional<LossSums>& torch,
                              const std::optional<LossSums>& portable) {
    ASSERT_EQ(torch.has_value(), portable.has_value());
    if (!torch.has_value()) return;
    EXPECT_EQ(torch->examples, portable->examples);
    EXPECT_EQ(torch->correct, portable->correct);
    EXPECT_EQ(torch->predictions, portable->predictions);
    const double per_example = kTolerance * static_cast<double>(torch->examples);
    EXPECT_NEAR(torch->loss_sum, portable->loss_sum, per_example);
    EXPECT_NEAR(torch->loss_sq_sum, portable->loss_sq_sum,
                per_example * (1 + torch->loss_sum / static_cast<double>(torch->examples)));
  }

  const SystemClock clock_;
  const TempDir dir_;
  BundleHeader header_;
  std::shared_ptr<const Dataset> data_;
  TrainRequest request_;
};

// ---- layers

struct Case {
  std::string fixture;
  ImportOptions options;
};

class LayerTest : public AgreementTest, public testing::WithParamInterface<Case> {};

TEST_P(LayerTest, GivesLibTorchsUpdate) {
  Use(Import(GetParam().fixture, GetParam().options));
  ExpectAgreement();
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const char* fixture : {"conv", "conv_strided", "conv_dilated", "conv_depthwise", "conv_1x1",
                              "batch_norm", "batch_norm_bare", "group_norm", "max_pool", "avg_pool",
                              "avg_pool_inside", "adaptive_pool", "global_pool", "residual"}) {
    cases.push_back({fixture, Images()});
  }
  for (const char* fixture : {"linear", "linear_no_bias", "batch_norm_1d", "layer_norm", "relu",
                              "relu6", "leaky_relu", "gelu", "gelu_tanh", "tanh", "sigmoid", "silu",
                              "softmax", "no_dropout", "mean_loss", "log_softmax"}) {
    cases.push_back({fixture, Numbers()});
  }
  for (const char* fixture : {"mse", "square_sum", "l1", "bce"}) {
    cases.push_back({fixture, Regression()});
  }
  cases.push_back({"words", Words()});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Portable, LayerTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.fixture; });

// ---- plans

struct PlanCase {
  std::string name;
  std::function<void(Plan*)> change;
};

class PlanTest : public AgreementTest, public testing::WithParamInterface<PlanCase> {};

TEST_P(PlanTest, GivesLibTorchsUpdate) {
  Use(Import("residual", Images()));
  GetParam().change(&request_.plan);
  ExpectAgreement();
}

const PlanCase kPlans[] = {
    {"Momentum", [](Plan* p) { p->optimizer.momentum = 0.9; }},
    {"Nesterov",
     [](Plan* p) {
       p->optimizer = {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true};
     }},
    {"WeightDecay", [](Plan* p) { p->optimizer.weight_decay = 0.1; }},
    {"Adam",
     [](Plan* p) {
       p->optimizer = {
           .kind = OptimizerKind::kAdam, .lr = 0.003, .weight_decay = 0.01, .eps = 1e-3};
     }},
    {"AdamW",
     [](Plan* p) {
       p->optimizer = {
           .kind = OptimizerKind::kAdamW, .lr = 0.003, .weight_decay = 0.1, .eps = 1e-3};
     }},
    {"Proximal", [](Plan* p) { p->proximal_mu = 0.5; }},
    {"Clipped", [](Plan* p) { p->clip_grad_norm = 0.1; }},
    {"Steps",
     [](Plan* p) {
       p->local_epochs = 0;
       p->local_steps = 11;
     }},
    {"Frozen",
     [](Plan* p) {
       p->frozen = {"stem.*", "bn1.*"};
     }},
    {"FrozenBuffers", [](Plan* p) { p->buffers = BufferMode::kFrozen; }},
    {"LocalBuffers", [](Plan* p) { p->buffers = BufferMode::kLocal; }},
    {"SomeEvaluated",
     [](Plan* p) {
       p->local_evaluation_examples = 9;
       p->seed = 5;
     }},
};

INSTANTIATE_TEST_SUITE_P(Portable, PlanTest, testing::ValuesIn(kPlans),
                         [](const auto& info) { return info.param.name; });

TEST_F(AgreementTest, OfTheModelsThatTheToolMakes) {
  request_.plan.local_epochs = 1;
  const TrainingGraph graph = Use(BuildModel(*ZooModel("mcmahan-cnn", {}), 7));
  ASSERT_EQ(graph.layers.size(), 10u);
  EXPECT_EQ(graph.layers[0].name, "conv1");
  EXPECT_EQ(graph.loss_input, graph.output);
  ExpectAgreement();
  Use(BuildModel(*ZooModel("small-cnn", {}), 7));
  ExpectAgreement();
  Use(BuildModel(*ZooModel("mlp", {.classes = 3, .hidden = {16, 8}}), 7));
  ExpectAgreement();
}

TEST_F(AgreementTest, OfLocalBuffersThatACLientKeeps) {
  Use(Import("residual", Images()));
  request_.plan.buffers = BufferMode::kLocal;
  const auto two_rounds = [this](const std::function<Outcome()>& run, const std::string& file) {
    request_.local_buffers_path = dir_.File(file);
    request_.key.round = 1;
    run();
    request_.key.round = 2;
    return run();
  };
  const Outcome torch = two_rounds([this] { return RunTorch(); }, "torch.buffers");
  const Outcome portable = two_rounds([this] { return RunPortable(); }, "portable.buffers");
  ExpectEqualUpdates(torch.update, portable.update);
  EXPECT_EQ(FileSize(dir_.File("torch.buffers")).value_or(1),
            FileSize(dir_.File("portable.buffers")).value_or(2));
}

TEST_F(AgreementTest, OfEvaluations) {
  Use(Import("residual", Images()));
  request_.kind = AssignmentKind::kEvaluate;
  const auto open = [this](const DatasetConfig&) -> absl::StatusOr<std::shared_ptr<const Dataset>> {
    return data_;
  };
  const std::atomic<bool> cancel{false};
  const auto torch = MakeTorchTrainer({.open_dataset = open, .clock = &clock_, .device = "cpu"})
                         ->Run(request_, cancel, nullptr);
  const auto portable =
      MakePortableTrainer({.open_dataset = open, .clock = &clock_})->Run(request_, cancel, nullptr);
  ASSERT_TRUE(torch.ok() && portable.ok()) << torch.status() << portable.status();
  ExpectEqualSums(torch->metrics.after, portable->metrics.after);
}

// ---- models without a graph

struct Refusal {
  std::string fixture;
  ImportOptions options;
  std::string why;
};

class RefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, NamesLayerAndOperator) {
  const auto parts = Import(GetParam().fixture, GetParam().options);
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(parts->graph, "");
  EXPECT_THAT(parts->why_no_graph, HasSubstr(GetParam().why));
  EXPECT_EQ(parts->header.artifacts.size(), 1u);
  EXPECT_THAT(parts->notes, testing::Contains(HasSubstr("clients need LibTorch")));
}

const Refusal kRefusals[] = {
    {"dropout", Numbers(), "layer layers.1: dropout with p = 0.25"},
    {"data_branch", Numbers(), "the model: "},
    {"weighted", Numbers(), "operator aten::tensor has no counterpart"},
    {"transposed", Images(), "layer layers.0: operator aten::conv_transpose2d"},
    {"in_place_view", Numbers(), "changes in place what it also uses reshaped"},
};

INSTANTIATE_TEST_SUITE_P(Portable, RefusalTest, testing::ValuesIn(kRefusals),
                         [](const auto& info) { return info.param.fixture; });

TEST(GraphDerivation, AnLstmHasNoGraph) {
  const auto parts = BuildModel(*ZooModel("char-lstm", {}), 1);
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_THAT(parts->why_no_graph, HasSubstr("layer lstm: operator aten::lstm"));
}

}  // namespace
}  // namespace fedwatt
