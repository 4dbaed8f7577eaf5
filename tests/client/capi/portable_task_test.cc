// The trainer without LibTorch, behind the functions of fedwatt.h, does what it does in
// fedwatt-client: bit for bit, and with the same words where it cannot.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/capi/app_trainer.h"
#include "client/trainers/portable/portable_trainer.h"
#include "common/base/file.h"
#include "fedwatt/portable.h"
#include "tests/client/capi/open_app.h"
#include "tests/client/trainers/portable/random_dataset.h"
#include "tests/common/base/temp_dir.h"
#include "tests/common/graph/small_graph.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kExamples = 20;

class PortableTaskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteBundle(kGraphFormat);
    request_.assignment_id = "job/r1/a1/0";
    request_.key = {"job", 3, 1, false};
    request_.dataset.name = "points";
    request_.seed_key = "device-1";
    request_.time_left_ms = 60'000;
    request_.output_path = dir_.File("delta");
    request_.plan.local_epochs = 3;
    request_.plan.batch_size = 8;
    request_.plan.seed = 11;
    app_.test_data.misbehave = [this](fedwatt_batch* batch, fedwatt_error*) {
      return NextBatch(batch);
    };
    app_.data.rewind = [](void* ctx, const char*, fedwatt_error*) -> int32_t {
      static_cast<OpenApp*>(ctx)->test_data.at = 0;
      return FEDWATT_OK;
    };
  }
  void TearDown() override {
    if (table_.ctx != nullptr) table_.destroy(table_.ctx);
  }

  void WriteBundle(const std::string& format) {
    const SmallGraph small = MakeSmallGraph();
    const std::string graph = SerializeTrainingGraph(small.graph);
    BundleHeader header = small.header;
    header.artifacts = {Artifact{.format = format, .version = "1"}};
    ASSERT_TRUE(
        BundleWriter::Write(dir_.File("bundle"), header, {AsBytes(graph)}, {}, nullptr).ok());
    request_.bundle = Bundle::Open(dir_.File("bundle")).value();
    std::vector<float> values(small.header.manifest.TotalBytes() / sizeof(float), 0);
    for (size_t i = 0; i + 2 < values.size(); ++i) values[i] = 0.01F * static_cast<float>(i % 37);
    request_.model_path = dir_.File("model");
    ASSERT_TRUE(WriteFileAtomic(request_.model_path, {reinterpret_cast<const char*>(values.data()),
                                                      values.size() * sizeof(float)})
                    .ok());
  }

  // Three at a time: how an app cuts its data must not matter.
  int32_t NextBatch(fedwatt_batch* out) {
    uint64_t& at = app_.test_data.at;
    if (at == data_->size()) return FEDWATT_END;
    std::vector<uint64_t> indices;
    while (indices.size() < 3 && at < data_->size()) indices.push_back(at++);
    EXPECT_TRUE(data_->Gather(indices, &batch_).ok());
    const auto n = static_cast<int64_t>(batch_.n);
    out->examples = batch_.n;
    out->x = {batch_.x.data(), FEDWATT_F32, 4, {n, 2, 4, 4}};
    out->y = {batch_.y.data(), FEDWATT_I64, 1, {n}};
    return FEDWATT_OK;
  }

  absl::StatusOr<TrainResult> Run() {
    if (trainer_ == nullptr) {
      table_ = FEDWATT_INIT(fedwatt_trainer);
      EXPECT_EQ(fedwatt_portable_trainer(memory_, &table_, nullptr), FEDWATT_OK);
      auto data = std::make_shared<AppData>(
          std::make_shared<AppObject<fedwatt_data_source>>(app_.data), 10'000);
      trainer_ = MakeAppTrainer(
          std::make_shared<AppObject<fedwatt_trainer>>(table_),
          {.data = data, .thread = &thread_, .give_up = &give_up_, .clock = &clock_});
    }
    return trainer_->Run(request_, cancel_, [this](const TrainProgress& progress) {
      if (on_progress_) on_progress_(progress);
    });
  }
  // What fedwatt-client's trainer makes of the same request.
  absl::StatusOr<TrainResult> RunInClient(const std::string& output) {
    TrainRequest request = request_;
    request.output_path = output;
    request.checkpoint_path.clear();
    if (!request.local_buffers_path.empty()) request.local_buffers_path = output + ".buffers";
    const auto open =
        [this](const DatasetConfig&) -> absl::StatusOr<std::shared_ptr<const Dataset>> {
      return data_;
    };
    return MakePortableTrainer({.open_dataset = open, .clock = &clock_})->Run(request, cancel_, {});
  }
  std::string Bytes(const std::string& path) const { return ReadFile(path, 1 << 20).value_or(""); }

  void ExpectEqual() {
    const absl::StatusOr<TrainResult> here = Run();
    const absl::StatusOr<TrainResult> there = RunInClient(dir_.File("expected"));
    ASSERT_TRUE(here.ok()) << here.status();
    ASSERT_TRUE(there.ok()) << there.status();
    ASSERT_NE(Bytes(request_.output_path), "");
    EXPECT_EQ(Bytes(request_.output_path), Bytes(dir_.File("expected")));
    EXPECT_EQ(here->weight, there->weight);
    EXPECT_EQ(here->metrics.steps, there->metrics.steps);
    ASSERT_EQ(here->metrics.before.has_value(), there->metrics.before.has_value());
    if (here->metrics.before.has_value()) {
      EXPECT_EQ(here->metrics.before->loss_sum, there->metrics.before->loss_sum);
    }
    EXPECT_EQ(here->metrics.after->loss_sum, there->metrics.after->loss_sum);
    EXPECT_EQ(here->metrics.after->correct, there->metrics.after->correct);
  }

  const TempDir dir_;
  const SystemClock clock_;
  OpenApp app_{dir_.File("state")};
  std::shared_ptr<const Dataset> data_ =
      std::make_shared<RandomDataset>(kExamples, RandomDataset::Layout{.x_shape = {2, 4, 4}});
  Batch batch_;
  CallbackThread thread_;
  std::atomic<bool> cancel_{false};
  std::atomic<bool> give_up_{false};
  uint64_t memory_ = 0;
  TrainRequest request_;
  std::function<void(const TrainProgress&)> on_progress_;
  fedwatt_trainer table_{};
  std::unique_ptr<Trainer> trainer_;
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
  // Longer than it takes until the trainer hears of a cancellation.
  request_.plan.local_epochs = 2000;
  uint64_t saved = 0;
  on_progress_ = [&](const TrainProgress& at) {
    if (at.steps_done > 0) cancel_ = true;
    saved = at.steps_saved;
  };
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
  EXPECT_GT(saved, 0u);
  cancel_ = false;
  uint64_t first = 0;
  on_progress_ = [&](const TrainProgress& at) {
    if (first == 0) first = at.steps_done;
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
  WriteBundle("another");
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
