// LibTorch inside of an app, behind the functions of fedwatt.h, does what it does in the process
// fedwatt-torch: bit for bit, and with the same words where it cannot.

#include <cstdlib>
#include <utility>

#include "client/trainers/torch/model_io.h"
#include "client/trainers/torch/torch_trainer.h"
#include "client/trainers/torch/torch_work.h"
#include "common/base/rng.h"
#include "fedwatt/torch_in_process.h"
#include "tests/client/capi/task_fixture.h"
#include "tests/client/trainers/portable/random_dataset.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kExamples = 20;

// A module that make_fixtures.py exported from Python.
std::string FixturePath(const std::string& file) {
  const char* const bin = std::getenv("FEDWATT_BIN_DIR");
  return std::string(bin == nullptr ? "." : bin) + "/tests/torch_fixtures/" + file;
}

class TorchTaskTest : public TaskFixture {
 protected:
  // Dropout draws random numbers, batch norm keeps statistics.
  void SetUp() override {
    data_ = std::make_shared<RandomDataset>(kExamples, RandomDataset::Layout{.x_shape = {4}});
    UseModule("norm");
  }

  void UseModule(const std::string& name) {
    const absl::StatusOr<MappedFile> file = MappedFile::Open(FixturePath(name + ".pt"));
    ASSERT_TRUE(file.ok()) << file.status();
    ImportOptions options;
    options.name = name;
    options.input_shape = {4};
    absl::StatusOr<ModelParts> parts = ImportModule(file->bytes(), options);
    ASSERT_TRUE(parts.ok()) << parts.status();
    parts_ = *std::move(parts);
    UseModel(parts_.header, parts_.artifacts(), parts_.tensors);
  }

  fedwatt_trainer MakeTable() override {
    fedwatt_trainer table = FEDWATT_INIT(fedwatt_trainer);
    EXPECT_EQ(fedwatt_torch_in_process_trainer("cpu", &table, nullptr), FEDWATT_OK);
    return table;
  }
  std::unique_ptr<Trainer> MakeInClient(DatasetOpener open) override {
    return MakeTorchTrainer({.open_dataset = std::move(open), .clock = &clock_, .device = "cpu"});
  }

  ModelParts parts_;
};

TEST_F(TorchTaskTest, TrainsToTheSameBitsAsInAProcessOfItsOwn) {
  ExpectEqual();
  request_.key.round = 4;
  request_.plan.optimizer = {.kind = OptimizerKind::kAdam, .lr = 0.01};
  request_.plan.local_epochs = 0;
  request_.plan.local_steps = 7;
  request_.plan.proximal_mu = 0.1;
  request_.plan.clip_grad_norm = 1;
  request_.plan.local_evaluation_examples = 6;
  ExpectEqual();
}

TEST_F(TorchTaskTest, FollowsWhatThePlanSaysOfTensors) {
  request_.plan.frozen = {request_.bundle->header().manifest.tensors()[0].name};
  ExpectEqual();
  request_.plan.frozen.clear();
  request_.plan.buffers = BufferMode::kFrozen;
  ExpectEqual();
  request_.plan.buffers = BufferMode::kLocal;
  request_.local_buffers_path = dir_.File("buffers");
  ExpectEqual();
  ExpectEqual();  // from the buffers that the first left
  EXPECT_EQ(Bytes(dir_.File("buffers")), Bytes(dir_.File("expected.buffers")));
}

TEST_F(TorchTaskTest, EvaluatesWithTheModulesOwnMetrics) {
  request_.kind = AssignmentKind::kEvaluate;
  const absl::StatusOr<TrainResult> here = Run();
  const absl::StatusOr<TrainResult> there = RunInClient("");
  ASSERT_TRUE(here.ok()) << here.status();
  ASSERT_TRUE(there.ok()) << there.status();
  ExpectEqual(here->metrics, there->metrics);
  EXPECT_THAT(here->metrics.named, Not(::testing::IsEmpty()));
}

TEST_F(TorchTaskTest, CallsTheMethodsThatTheBundleNames) {
  BundleHeader header = parts_.header;
  header.loss_method = "other";
  UseModel(header, parts_.artifacts(), parts_.tensors);
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("the module has no method other"));
}

TEST_F(TorchTaskTest, GoesOnFromACheckpoint) {
  request_.checkpoint_path = dir_.File("checkpoint");
  request_.checkpoint_every_ms = 3'600'000;
  uint64_t done = 0;
  uint64_t saved = 0;
  on_progress_ = [&](const TrainProgress& at) {
    cancel_ = at.steps_done >= 2;
    done = at.steps_done;
    saved = at.steps_saved;
  };
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(done, 2u) << "the step in which it is cancelled is the last";
  EXPECT_EQ(saved, 2u);
  cancel_ = false;
  uint64_t first = 0;
  on_progress_ = [&](const TrainProgress& at) {
    if (first > 0 || at.steps_done == 0) return;
    first = at.steps_done;
    EXPECT_EQ(at.steps_saved, first) << "the client learns that it went on";
  };
  ExpectEqual();
  EXPECT_EQ(first, saved) << "what was done is not done again";
}

TEST_F(TorchTaskTest, SaysWhatItCannotDo) {
  data_ = std::make_shared<RandomDataset>(0, RandomDataset::Layout{.x_shape = {4}});
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("no examples"));
  data_ = std::make_shared<RandomDataset>(kExamples,
                                          RandomDataset::Layout{.x_shape = {4}, .classes = 9});
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kInvalidArgument)
      << "a target outside of the classes is an error, not a crash";
  BundleHeader header = parts_.header;
  header.artifacts = {Artifact{.format = "another", .version = "1"}};
  UseModel(header, {AsBytes(std::string("?"))}, parts_.tensors);
  EXPECT_THAT(std::string(Run().status().message()),
              HasSubstr("no artifact of format torchscript"));
}

// That a key is trusted with models does not make its graphs read this device's files.
TEST_F(TorchTaskTest, RefusesOperatorsThatAreNotAllowed) {
  BundleHeader header = parts_.header;
  const absl::StatusOr<MappedFile> file = MappedFile::Open(FixturePath("from_file.pt"));
  ASSERT_TRUE(file.ok()) << file.status();
  header.artifacts = {Artifact{.format = kTorchScriptFormat, .version = "1"}};
  UseModel(header, {file->bytes()}, parts_.tensors);
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kPermissionDenied) << Run().status();
}

TEST(TorchInProcess, OneInAProcess) {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  fedwatt_trainer first = FEDWATT_INIT(fedwatt_trainer);
  fedwatt_trainer second = FEDWATT_INIT(fedwatt_trainer);
  ASSERT_EQ(fedwatt_torch_in_process_trainer(nullptr, &first, &error), FEDWATT_OK);
  EXPECT_EQ(fedwatt_torch_in_process_trainer(nullptr, &second, &error),
            FEDWATT_FAILED_PRECONDITION);
  EXPECT_THAT(error.message, HasSubstr("already"));
  first.destroy(first.ctx);
  EXPECT_EQ(fedwatt_torch_in_process_trainer(nullptr, &second, &error), FEDWATT_OK);
  second.destroy(second.ctx);
}

TEST(TorchInProcess, RefusesWhatIsNoStructAndNoDevice) {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  EXPECT_EQ(fedwatt_torch_in_process_trainer(nullptr, nullptr, &error), FEDWATT_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("trainer is NULL"));
  fedwatt_trainer trainer{};
  EXPECT_EQ(fedwatt_torch_in_process_trainer(nullptr, &trainer, &error), FEDWATT_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("FEDWATT_INIT"));
  trainer = FEDWATT_INIT(fedwatt_trainer);
  EXPECT_EQ(fedwatt_torch_in_process_trainer("tpu", &trainer, &error), FEDWATT_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("auto, cpu or cuda"));
}

}  // namespace
}  // namespace fedwatt
