#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/trainers/portable/portable_trainer.h"
#include "common/base/clock.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/bundle/bundle.h"
#include "tests/client/trainers/portable/random_dataset.h"
#include "tests/common/base/temp_dir.h"
#include "tests/common/graph/small_graph.h"

namespace fedwatt {

// A request for the small graph (tests/common/graph/small_graph.h) on 20 random examples.
class PortableTrainerTest : public testing::Test {
 protected:
  PortableTrainerTest() {
    request_.assignment_id = "job/r1/a1/0";
    request_.key = {"job", 1, 1, false};
    request_.seed_key = "client-1";
    request_.output_path = dir_.File("update");
    request_.bundle_path = dir_.File("model.fwb");
    request_.plan.batch_size = 8;
    Use(MakeSmallGraph());
    UseData(20, {.x_shape = {2, 4, 4}});
  }

  void Use(SmallGraph small) {
    small_ = std::move(small);
    const std::string bytes = SerializeTrainingGraph(small_.graph);
    BundleHeader header = small_.header;
    header.artifacts = {{kGraphFormat, "1", {}, 0, 0}};
    ASSERT_TRUE(
        BundleWriter::Write(request_.bundle_path, header, {AsBytes(bytes)}, Tensors(), nullptr)
            .ok());
  }

  void UseData(uint64_t size, RandomDataset::Layout layout) {
    data_ = std::make_shared<RandomDataset>(size, std::move(layout));
  }

  // Uniform around zero; variances around one.
  std::vector<uint8_t> Tensors() const {
    std::vector<uint8_t> flat(small_.header.manifest.TotalBytes());
    RngKey key;
    key.purpose = "tensors";
    Rng rng(key);
    for (size_t i = 0; i < small_.header.manifest.tensors().size(); ++i) {
      const TensorSpec& spec = small_.header.manifest.tensors()[i];
      if (spec.dtype != DType::kF32) continue;
      for (uint64_t k = 0; k < spec.Elements(); ++k) {
        const auto value = static_cast<float>(rng.Uniform01() - (spec.name == "bn.var" ? 0 : 0.5));
        std::memcpy(flat.data() + small_.header.manifest.OffsetBytes(i) + 4 * k, &value, 4);
      }
    }
    return flat;
  }

  absl::StatusOr<TrainResult> Run(uint64_t memory = uint64_t{1} << 30) {
    const auto open =
        [this](const DatasetConfig&) -> absl::StatusOr<std::shared_ptr<const Dataset>> {
      return data_;
    };
    return MakePortableTrainer(
               {.open_dataset = open, .clock = clock_, .memory_limit_bytes = memory})
        ->Run(request_, cancel_, progress_);
  }

  std::string Update() {
    const auto result = Run();
    EXPECT_TRUE(result.ok()) << result.status();
    return ReadFile(request_.output_path, 1 << 20).value_or("");
  }

  void ExpectError(absl::StatusCode code, const std::string& message) {
    const auto result = Run();
    EXPECT_EQ(result.status().code(), code);
    EXPECT_THAT(std::string(result.status().message()), ::testing::HasSubstr(message));
  }

  SystemClock system_clock_;
  FakeClock fake_clock_;
  const Clock* clock_ = &system_clock_;
  const TempDir dir_;
  SmallGraph small_;
  std::shared_ptr<const Dataset> data_;
  TrainRequest request_;
  std::atomic<bool> cancel_{false};
  std::function<void(const TrainProgress&)> progress_;
};

}  // namespace fedwatt
