#include "client/trainers/torch/model_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/client/trainers/torch/torch_test_support.h"

namespace fedwatt {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

ModelParts Built(const std::string& name, const ZooOptions& options, uint64_t seed) {
  const auto net = ZooModel(name, options);
  EXPECT_TRUE(net.ok()) << net.status();
  auto parts = BuildModel(*net, seed);
  EXPECT_TRUE(parts.ok()) << parts.status();
  return *std::move(parts);
}

TEST(ModelIoTest, TheCnnIsThatOfThePaper) {
  const ModelParts parts = Built("mcmahan-cnn", {}, 1);
  EXPECT_EQ(parts.header.manifest.TrainableElements(), 1'663'370u);
  EXPECT_EQ(parts.tensors.size(), 1'663'370u * sizeof(float));
  EXPECT_THAT(parts.header.input_shape, ElementsAre(1, 28, 28));
  EXPECT_LT(parts.torchscript.size(), 20'000u) << "tensors belong beside the module, not inside";
}

TEST(ModelIoTest, TheSmallCnnIsSmall) {
  const ModelParts parts = Built("small-cnn", {}, 1);
  EXPECT_EQ(parts.header.manifest.TrainableElements(),
            8u * 9 + 8 + 16 * 8 * 9 + 16 + 7 * 7 * 16 * 10 + 10);
  EXPECT_THAT(parts.header.input_shape, ElementsAre(1, 28, 28));
}

TEST(ModelIoTest, TheMlpHasTheAskedWidths) {
  EXPECT_EQ(Built("mlp", {}, 1).header.manifest.TrainableElements(), 25'450u);  // 784-32-10
  ZooOptions options;
  options.hidden = {64, 16};
  options.classes = 3;
  options.input_shape = {4};
  EXPECT_EQ(Built("mlp", options, 1).header.manifest.TrainableElements(),
            4u * 64 + 64 + 64 * 16 + 16 + 16 * 3 + 3);
}

TEST(ModelIoTest, TheCharLstmIsASequenceModelOverItsVocabulary) {
  ZooOptions options;
  options.vocabulary = 90;
  const ModelParts parts = Built("char-lstm", options, 1);
  EXPECT_EQ(parts.header.task, ModelTask::kSequence);
  EXPECT_EQ(parts.header.input_dtype, DType::kI64);
  EXPECT_EQ(
      parts.header.manifest.TrainableElements(),
      90u * 8 + (1024 * 8 + 1024 * 256 + 2 * 1024) + (2 * 1024 * 256 + 2 * 1024) + 90 * 256 + 90);
}

TEST(ModelIoTest, EqualSeedsGiveEqualBytesAndOthersDiffer) {
  const ModelParts first = Built("mlp", {}, 3);
  const ModelParts again = Built("mlp", {}, 3);
  const ModelParts other = Built("mlp", {}, 4);
  EXPECT_EQ(first.tensors, again.tensors);
  EXPECT_EQ(first.torchscript, again.torchscript);
  EXPECT_NE(first.tensors, other.tensors);
  EXPECT_EQ(first.torchscript, other.torchscript);
}

TEST(ModelIoTest, ParametersStartWithinTheFanInBound) {
  const ModelParts parts = Built("mlp", {}, 3);
  const std::vector<float> all = AsFloats(std::string(AsText(parts.tensors)));
  const std::vector<float> fc1(all.begin(), all.begin() + 784 * 32);
  const auto [low, high] = std::minmax_element(fc1.begin(), fc1.end());
  EXPECT_GE(*low, -1.0f / 28);
  EXPECT_LE(*high, 1.0f / 28);
  EXPECT_GT(*high, 0.95f / 28);
  EXPECT_GT(std::set<float>(fc1.begin(), fc1.end()).size(), fc1.size() / 2);
}

TEST(ModelIoTest, UnknownModelsAndWidthsAreRefused) {
  EXPECT_THAT(std::string(ZooModel("mcmahan", {}).status().message()), HasSubstr("mcmahan-cnn"));
  ZooOptions options;
  options.classes = 1;
  EXPECT_THAT(std::string(ZooModel("mlp", options).status().message()),
              HasSubstr("--classes is 1"));
  options.classes = 10;
  options.hidden = {-5};
  EXPECT_EQ(ZooModel("mlp", options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ModelIoTest, ImportTakesWhatPythonExported) {
  const auto norm = ImportFixture("norm", ClusterOptions());
  ASSERT_TRUE(norm.ok()) << norm.status();
  EXPECT_THAT(norm->notes, ElementsAre(HasSubstr("layer drop: dropout with p = 0.25")));
  std::vector<std::string> names;
  for (const TensorSpec& spec : norm->header.manifest.tensors()) names.push_back(spec.name);
  EXPECT_THAT(names, ElementsAre("body.weight", "body.bias", "norm.weight", "norm.bias",
                                 "head.weight", "head.bias", "norm.running_mean",
                                 "norm.running_var", "norm.num_batches_tracked"));
  EXPECT_EQ(norm->header.manifest.tensors().back().role, TensorRole::kBuffer);
}

TEST(ModelIoTest, ImportTakesATransformer) {
  ImportOptions options;
  options.name = "transformer";
  options.task = ModelTask::kSequence;
  options.input_shape = {5};
  options.input_dtype = DType::kI64;
  const auto parts = ImportFixture("transformer", options);
  EXPECT_TRUE(parts.ok()) << parts.status();
}

TEST(ModelIoTest, ImportRemarksWhatMaySurprise) {
  const auto mean = ImportFixture("mean_line", LineOptions());
  ASSERT_TRUE(mean.ok()) << mean.status();
  EXPECT_THAT(mean->notes,
              ElementsAre(HasSubstr("reduction=\"none\""), HasSubstr("no training graph")));
  const auto frozen = ImportFixture("frozen", LineOptions());
  ASSERT_TRUE(frozen.ok()) << frozen.status();
  EXPECT_THAT(frozen->notes, Contains(HasSubstr("frozen = [\"bias\"]")));
}

struct BadImport {
  std::string fixture;
  absl::StatusCode code;
  std::string hint;
};

class BadImportTest : public ::testing::TestWithParam<BadImport> {};

TEST_P(BadImportTest, SaysWhatToChangeInPython) {
  const auto parts = ImportFixture(GetParam().fixture, LineOptions());
  EXPECT_EQ(parts.status().code(), GetParam().code) << parts.status();
  EXPECT_THAT(std::string(parts.status().message()), HasSubstr(GetParam().hint));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadImportTest,
    ::testing::Values(
        BadImport{"no_loss", absl::StatusCode::kInvalidArgument, "@torch.jit.export"},
        BadImport{"traced", absl::StatusCode::kInvalidArgument, "torch.jit.trace keeps forward"},
        BadImport{"double", absl::StatusCode::kInvalidArgument, "model.float()"},
        BadImport{"tied", absl::StatusCode::kInvalidArgument, "w and v share memory"},
        BadImport{"detached", absl::StatusCode::kInvalidArgument, "has no gradient"},
        BadImport{"wrong_loss", absl::StatusCode::kInvalidArgument, "shape [1, 2, 1]"},
        BadImport{"reassigns", absl::StatusCode::kInvalidArgument, "local variable"},
        BadImport{"state_dict", absl::StatusCode::kInvalidArgument, "torch.save hold no code"},
        BadImport{"from_file", absl::StatusCode::kPermissionDenied, "aten::from_file"},
        BadImport{"unlisted", absl::StatusCode::kPermissionDenied, "aten::special_i0e"},
        BadImport{"setstate", absl::StatusCode::kPermissionDenied, "__setstate__"}),
    [](const auto& info) { return info.param.fixture; });

TEST(ModelIoTest, TheWrongInputShapeIsNamedByTheTrialRun) {
  ImportOptions options = ClusterOptions();
  options.input_shape = {5};
  const auto parts = ImportFixture("norm", options);
  EXPECT_EQ(parts.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(parts.status().message()),
              HasSubstr("zeros of shape [2, 5] failed in method forward"));
}

TEST(ModelIoTest, TheWrongTaskIsNamedByTheTrialRun) {
  ImportOptions options = ClusterOptions();
  options.task = ModelTask::kSequence;
  EXPECT_THAT(std::string(ImportFixture("norm", options).status().message()),
              HasSubstr("a sequence model returns [n, classes, t]"));
}

class BundleFileTest : public TorchTest {};

TEST_F(BundleFileTest, OperatorsAreListedWithTheirVerdict) {
  ImportOptions options = LineOptions();
  options.allow_ops = {"aten::special_i0e"};
  const auto parts = ImportFixture("unlisted", options);
  if (!parts.ok()) {
    EXPECT_NE(parts.status().code(), absl::StatusCode::kPermissionDenied) << parts.status();
    GTEST_FAIL() << "the fixture needs an operator with a derivative: " << parts.status();
  }
  UseModel(parts);
  const auto bundle = Bundle::Open(request_.bundle_path);
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  const auto strict = ListOperators(**bundle, {});
  ASSERT_TRUE(strict.ok()) << strict.status();
  EXPECT_THAT(*strict, Contains(testing::AllOf(Field(&OperatorCount::op, "aten::special_i0e"),
                                               Field(&OperatorCount::allowed, false))));
  const auto lenient = ListOperators(**bundle, {"aten::special_i0e"});
  ASSERT_TRUE(lenient.ok()) << lenient.status();
  EXPECT_THAT(*lenient, Each(Field(&OperatorCount::allowed, true)));
}

TEST_F(BundleFileTest, AnExportIsAModelThatCanBeImportedAgain) {
  const auto parts = ImportFixture("norm", ClusterOptions());
  UseModel(parts);
  const auto bundle = Bundle::Open(request_.bundle_path);
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  const auto archive = ExportModule(**bundle, true, {});
  ASSERT_TRUE(archive.ok()) << archive.status();
  const auto again = ImportModule(AsBytes(*archive), ClusterOptions());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->tensors, parts->tensors);
  EXPECT_EQ(again->header.manifest, parts->header.manifest);
  const auto module_only = ExportModule(**bundle, false, {});
  ASSERT_TRUE(module_only.ok()) << module_only.status();
  const auto zeros = ImportModule(AsBytes(*module_only), ClusterOptions());
  ASSERT_TRUE(zeros.ok()) << zeros.status();
  EXPECT_THAT(zeros->tensors, Each(0));
}

TEST_F(BundleFileTest, AnExportWithoutTensorsSaysWhatToDo) {
  UseModel(ImportFixture("line", LineOptions()));
  const auto whole = Bundle::Open(request_.bundle_path);
  ASSERT_TRUE(whole.ok());
  const std::string path = dir_ + "/bare.fwb";
  ASSERT_TRUE(BundleWriter::WriteWithTensors(path, **whole, {}).ok());
  const auto bare = Bundle::Open(path);
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_THAT(std::string(ExportModule(**bare, true, {}).status().message()),
              HasSubstr("--module-only"));
  EXPECT_TRUE(ExportModule(**bare, false, {}).ok());
}

}  // namespace
}  // namespace fedwatt
