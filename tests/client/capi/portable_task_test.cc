// The trainer without LibTorch, behind the functions of fedwatt.h, does what it does in
// fedwatt-client: bit for bit, and with the same words where it cannot.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/trainers/portable/portable_trainer.h"
#include "fedwatt/portable.h"
#include "tests/client/capi/task_fixture.h"
#include "tests/client/trainers/portable/random_dataset.h"
#include "tests/common/graph/small_graph.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kExamples = 20;

class PortableTaskTest : public TaskFixture {
 protected:
  void SetUp() override {
    data_ = std::make_shared<RandomDataset>(kExamples, RandomDataset::Layout{.x_shape = {2, 4, 4}});
    UseGraph(kGraphFormat);
  }

  void UseGraph(const std::string& format) {
    const SmallGraph small = MakeSmallGraph();
    const std::string graph = SerializeTrainingGraph(small.graph);
    BundleHeader header = small.header;
    header.artifacts = {Artifact{.format = format, .version = "1"}};
    std::vector<float> values(small.header.manifest.TotalBytes() / sizeof(float), 0);
    for (size_t i = 0; i + 2 < values.size(); ++i) values[i] = 0.01F * static_cast<float>(i % 37);
    UseModel(header, {AsBytes(graph)},
             {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)});
  }

  fedwatt_trainer MakeTable() override {
    fedwatt_trainer table = FEDWATT_INIT(fedwatt_trainer);
    EXPECT_EQ(fedwatt_portable_trainer(memory_, &table, nullptr), FEDWATT_OK);
    return table;
  }
  std::unique_ptr<Trainer> MakeInClient(DatasetOpener open) override {
    return MakePortableTrainer({.open_dataset = std::move(open), .clock = &clock_});
  }

  uint64_t memory_ = 0;
};

TEST_F(PortableTaskTest, TrainsToTheSameBitsAsInTheClient) {
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

TEST_F(PortableTaskTest, FollowsWhatThePlanSaysOfTensors) {
  request_.plan.frozen = {"conv.*"};
  ExpectEqual();
  request_.plan.buffers = BufferMode::kFrozen;
  ExpectEqual();
  request_.plan.buffers = BufferMode::kLocal;
  request_.local_buffers_path = dir_.File("buffers");
  ExpectEqual();
  ExpectEqual();  // from the buffers that the first left
  EXPECT_EQ(Bytes(dir_.File("buffers")), Bytes(dir_.File("expected.buffers")));
}

TEST_F(PortableTaskTest, Evaluates) {
  request_.kind = AssignmentKind::kEvaluate;
  const absl::StatusOr<TrainResult> here = Run();
  const absl::StatusOr<TrainResult> there = RunInClient("");
  ASSERT_TRUE(here.ok()) << here.status();
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_EQ(here->metrics.after->loss_sum, there->metrics.after->loss_sum);
  EXPECT_EQ(here->metrics.examples, kExamples);
}

TEST_F(PortableTaskTest, GoesOnFromACheckpoint) {
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

TEST_F(PortableTaskTest, SaysWhatItCannotDo) {
  data_ = std::make_shared<RandomDataset>(0, RandomDataset::Layout{.x_shape = {2, 4, 4}});
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("no examples"));
  data_ = std::make_shared<RandomDataset>(
      kExamples, RandomDataset::Layout{.x_shape = {2, 4, 4}, .classes = 9});
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("the model has classes 0 to 2"));
  request_.plan.memory_limit_bytes = 2000;
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("the trainer's memory limit is"));
  UseGraph("another");
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("carries no training graph"));
}

TEST_F(PortableTaskTest, TakesNoMoreDataThanItMay) {
  memory_ = 1000;
  const absl::Status status = Run().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("offer fewer examples"));
}

TEST(PortableTrainer, RefusesWhatIsNoStruct) {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  EXPECT_EQ(fedwatt_portable_trainer(0, nullptr, &error), FEDWATT_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("trainer is NULL"));
  fedwatt_trainer trainer{};
  EXPECT_EQ(fedwatt_portable_trainer(0, &trainer, &error), FEDWATT_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("FEDWATT_INIT"));
}

}  // namespace
}  // namespace fedwatt
