#pragma once

// A trainer of ours behind the functions of fedwatt.h, beside the one that fedwatt-client has: what
// they make of the same request must be the same.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/capi/app_trainer.h"
#include "client/datasets/dataset.h"
#include "common/base/file.h"
#include "tests/client/capi/open_app.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {

class TaskFixture : public ::testing::Test {
 protected:
  TaskFixture() {
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
    trainer_.reset();
    if (table_.ctx != nullptr) table_.destroy(table_.ctx);
  }

  // The table that an app gets.
  virtual fedwatt_trainer MakeTable() = 0;
  // The trainer that fedwatt-client has.
  virtual std::unique_ptr<Trainer> MakeInClient(DatasetOpener open) = 0;

  // Writes bundle and model for the request.
  void UseModel(const BundleHeader& header, const std::vector<ByteSpan>& artifacts,
                ByteSpan tensors) {
    request_.bundle_path = dir_.File("bundle");
    ASSERT_TRUE(
        BundleWriter::Write(request_.bundle_path, header, artifacts, tensors, nullptr).ok());
    request_.bundle = Bundle::Open(request_.bundle_path).value();
    request_.model_path = dir_.File("model");
    ASSERT_TRUE(WriteFileAtomic(request_.model_path, AsText(tensors)).ok());
  }

  // Three at a time: how an app cuts its data must not matter.
  int32_t NextBatch(fedwatt_batch* out) {
    uint64_t& at = app_.test_data.at;
    if (at == data_->size()) return FEDWATT_END;
    std::vector<uint64_t> indices;
    while (indices.size() < 3 && at < data_->size()) indices.push_back(at++);
    EXPECT_TRUE(data_->Gather(indices, &batch_).ok());
    out->examples = batch_.n;
    out->x = View(batch_.x, batch_.x_dtype, batch_.x_shape);
    out->y = View(batch_.y, batch_.y_dtype, batch_.y_shape);
    return FEDWATT_OK;
  }

  absl::StatusOr<TrainResult> Run() {
    if (trainer_ == nullptr) {
      table_ = MakeTable();
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
    return MakeInClient(open)->Run(request, cancel_, {});
  }
  static std::string Bytes(const std::string& path) { return ReadFile(path, 1 << 20).value_or(""); }

  // Training, in both.
  void ExpectEqual() {
    const absl::StatusOr<TrainResult> here = Run();
    const absl::StatusOr<TrainResult> there = RunInClient(dir_.File("expected"));
    ASSERT_TRUE(here.ok()) << here.status();
    ASSERT_TRUE(there.ok()) << there.status();
    ASSERT_NE(Bytes(request_.output_path), "");
    EXPECT_EQ(Bytes(request_.output_path), Bytes(dir_.File("expected")));
    EXPECT_EQ(here->weight, there->weight);
    EXPECT_EQ(here->output_bytes, there->output_bytes);
    ExpectEqual(here->metrics, there->metrics);
  }
  static void ExpectEqual(const UpdateMetrics& here, const UpdateMetrics& there) {
    EXPECT_EQ(here.examples, there.examples);
    EXPECT_EQ(here.steps, there.steps);
    EXPECT_EQ(here.named, there.named);
    ASSERT_EQ(here.before.has_value(), there.before.has_value());
    if (here.before.has_value()) {
      EXPECT_EQ(here.before->loss_sum, there.before->loss_sum);
    }
    ASSERT_EQ(here.after.has_value(), there.after.has_value());
    if (here.after.has_value()) {
      EXPECT_EQ(here.after->loss_sum, there.after->loss_sum);
      EXPECT_EQ(here.after->correct, there.after->correct);
    }
  }

  const TempDir dir_;
  const SystemClock clock_;
  OpenApp app_{dir_.File("state")};
  std::shared_ptr<const Dataset> data_;
  Batch batch_;
  CallbackThread thread_;
  std::atomic<bool> cancel_{false};
  std::atomic<bool> give_up_{false};
  TrainRequest request_;
  std::function<void(const TrainProgress&)> on_progress_;
  fedwatt_trainer table_{};
  std::unique_ptr<Trainer> trainer_;

 private:
  static fedwatt_tensor View(const std::vector<uint8_t>& bytes, DType dtype,
                             const std::vector<int64_t>& shape) {
    fedwatt_tensor view{
        bytes.data(), static_cast<int32_t>(dtype), static_cast<uint32_t>(shape.size()), {}};
    std::copy(shape.begin(), shape.end(), view.shape);
    return view;
  }
};

}  // namespace fedwatt
