#pragma once

// What the tests of the LibTorch trainer share: data, bundles and one-line runs. No LibTorch
// headers: the tests see what the trainer's users see.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/trainers/torch/model_io.h"
#include "client/trainers/torch/torch_trainer.h"
#include "common/base/clock.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/bundle/bundle.h"

namespace fedwatt {

// x and y in memory, float or integer inputs, targets of either kind.
class MemoryDataset final : public Dataset {
 public:
  MemoryDataset(std::vector<int64_t> x_shape, std::vector<int64_t> y_shape, DType y_dtype)
      : x_shape_(std::move(x_shape)), y_shape_(std::move(y_shape)), y_dtype_(y_dtype) {}

  void Add(const std::vector<float>& x, const std::vector<float>& y) {
    x_.push_back(x);
    y_.push_back(y);
  }

  uint64_t size() const override { return x_.size(); }
  std::vector<int64_t> input_shape() const override { return x_shape_; }
  DType input_dtype() const override { return DType::kF32; }
  absl::Status Gather(const std::vector<uint64_t>& indices, Batch* out) const override {
    out->n = indices.size();
    out->x_dtype = DType::kF32;
    out->y_dtype = y_dtype_;
    out->x_shape = x_shape_;
    out->y_shape = y_shape_;
    out->x_shape.insert(out->x_shape.begin(), static_cast<int64_t>(out->n));
    out->y_shape.insert(out->y_shape.begin(), static_cast<int64_t>(out->n));
    out->x.clear();
    out->y.clear();
    for (const uint64_t i : indices) {
      for (const float value : x_[i]) AppendAs(value, &out->x);
      for (const float value : y_[i]) {
        if (y_dtype_ == DType::kI64) {
          AppendAs(static_cast<int64_t>(value), &out->y);
        } else {
          AppendAs(value, &out->y);
        }
      }
    }
    return absl::OkStatus();
  }

 private:
  template <typename T>
  static void AppendAs(T value, std::vector<uint8_t>* out) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    out->insert(out->end(), bytes, bytes + sizeof(value));
  }

  std::vector<int64_t> x_shape_;
  std::vector<int64_t> y_shape_;
  DType y_dtype_;
  std::vector<std::vector<float>> x_;
  std::vector<std::vector<float>> y_;
};

// Three well separated clusters in four dimensions.
inline std::shared_ptr<MemoryDataset> Clusters(int examples) {
  auto data =
      std::make_shared<MemoryDataset>(std::vector<int64_t>{4}, std::vector<int64_t>{}, DType::kI64);
  RngKey key;
  key.purpose = "clusters";
  Rng rng(key);
  for (int i = 0; i < examples; ++i) {
    std::vector<float> x(4);
    for (float& value : x) value = static_cast<float>(rng.Uniform01() - 0.5);
    x[i % 3] += 2;
    data->Add(x, {static_cast<float>(i % 3)});
  }
  return data;
}

// Pairs (x, y) for the model y = w x of the fixture "line".
inline std::shared_ptr<MemoryDataset> Pairs(const std::vector<std::pair<float, float>>& pairs) {
  auto data = std::make_shared<MemoryDataset>(std::vector<int64_t>{1}, std::vector<int64_t>{1},
                                              DType::kF32);
  for (const auto& [x, y] : pairs) data->Add({x}, {y});
  return data;
}

// A module that make_fixtures.py exported from Python.
inline std::string FixturePath(const std::string& file) {
  const char* bin = std::getenv("FEDWATT_BIN_DIR");
  return std::string(bin == nullptr ? "." : bin) + "/tests/torch_fixtures/" + file;
}

inline absl::StatusOr<ModelParts> ImportFixture(const std::string& name,
                                                const ImportOptions& options) {
  const auto file = MappedFile::Open(FixturePath(name + ".pt"));
  if (!file.ok()) return file.status();
  return ImportModule(file->bytes(), options);
}

inline ImportOptions LineOptions() {
  ImportOptions options;
  options.name = "line";
  options.task = ModelTask::kRegression;
  options.input_shape = {1};
  return options;
}

inline ImportOptions ClusterOptions() {
  ImportOptions options;
  options.name = "clusters";
  options.input_shape = {4};
  return options;
}

inline std::vector<float> AsFloats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// A folder, a trainer, and a request that a test changes as it likes.
class TorchTest : public ::testing::Test {
 protected:
  TorchTest() {
    dir_ = ::testing::TempDir() + "fedwatt_torch_" +
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
    EXPECT_TRUE(EnsureDir(dir_).ok());
    request_.assignment_id = "job/r1/a1/0";
    request_.key = {"job", 1, 1, false};
    request_.seed_key = "client-1";
    request_.output_path = dir_ + "/update";
    request_.plan.optimizer.lr = 0.1;
    request_.plan.batch_size = 8;
  }

  Trainer& trainer() {
    if (trainer_ == nullptr) trainer_ = NewTrainer();
    return *trainer_;
  }

  std::unique_ptr<Trainer> NewTrainer(const std::vector<std::string>& allow_ops = {}) {
    return MakeTorchTrainer(
        {.open_dataset = [this](const DatasetConfig&)
             -> absl::StatusOr<std::shared_ptr<const Dataset>> { return data_; },
         .clock = clock_,
         .device = "cpu",
         .allow_ops = allow_ops});
  }

  // Writes the model as a bundle and its tensors as a file, for the request.
  void UseModel(const absl::StatusOr<ModelParts>& parts) {
    ASSERT_TRUE(parts.ok()) << parts.status();
    request_.bundle_path = dir_ + "/model.fwb";
    request_.model_path = dir_ + "/tensors";
    ASSERT_TRUE(BundleWriter::Write(request_.bundle_path, parts->header, parts->artifacts(),
                                    parts->tensors, nullptr)
                    .ok());
    ASSERT_TRUE(WriteFileAtomic(request_.model_path, AsText(parts->tensors)).ok());
    manifest_ = parts->header.manifest;
  }

  absl::StatusOr<TrainResult> Run() { return Run(trainer()); }
  absl::StatusOr<TrainResult> Run(Trainer& trainer) {
    return trainer.Run(request_, cancel_, progress_);
  }

  // Runs and returns the update's bytes.
  std::string Update() { return Update(trainer()); }
  std::string Update(Trainer& trainer) {
    const auto result = Run(trainer);
    EXPECT_TRUE(result.ok()) << result.status();
    auto bytes = ReadFile(request_.output_path, uint64_t{1} << 30);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    if (result.ok()) {
      EXPECT_EQ(bytes->size(), result->output_bytes);
    }
    return *std::move(bytes);
  }

  SystemClock system_clock_;
  FakeClock fake_clock_;
  const Clock* clock_ = &system_clock_;
  std::string dir_;
  std::shared_ptr<const Dataset> data_;
  TrainRequest request_;
  Manifest manifest_;
  std::atomic<bool> cancel_{false};
  std::function<void(const TrainProgress&)> progress_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace fedwatt
