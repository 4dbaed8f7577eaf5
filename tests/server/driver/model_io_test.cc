#include "server/driver/model_io.h"

#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;

template <typename T>
std::vector<uint8_t> Flat(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<float> Floats(ByteSpan bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

class ModelIo : public ::testing::Test {
 protected:
  ModelIo()
      : dir_(absl::StrCat(::testing::TempDir(), "/model-io-",
                          ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(dir_);
    blobs_ = *OpenDirBlobStore(dir_);
  }

  std::vector<float> Made(const UpdateLayout& layout, const std::vector<float>& parameters,
                          const std::vector<uint8_t>& buffers) {
    const auto blob = PutModel(blobs_.get(), manifest_, layout, base_, parameters, buffers);
    EXPECT_TRUE(blob.ok()) << blob.status();
    return Floats((*blobs_->Open(blob->sha256))->bytes());
  }

  const std::string dir_;
  std::unique_ptr<BlobStore> blobs_;
  const Manifest manifest_ = *Manifest::Create({{"a", DType::kF32, {2}, TensorRole::kTrainable},
                                                {"mean", DType::kF32, {1}, TensorRole::kBuffer},
                                                {"b", DType::kF32, {3}, TensorRole::kTrainable}});
  const std::vector<uint8_t> base_ = Flat<float>({1, 2, 3, 4, 5, 6});
};

TEST_F(ModelIo, ScattersWhatItGathered) {
  const UpdateLayout layout = *MakeUpdateLayout(manifest_, {}, BufferMode::kAverage);
  std::vector<float> values = GatherTrainable(layout, base_);
  EXPECT_THAT(values, ElementsAre(1, 2, 4, 5, 6));
  for (float& value : values) value *= 10;
  EXPECT_THAT(Made(layout, values, Flat<float>({7})), ElementsAre(10, 20, 7, 40, 50, 60));
}

TEST_F(ModelIo, FrozenTensorsAndBuffersStayAsTheyWere) {
  const UpdateLayout layout = *MakeUpdateLayout(manifest_, {"a"}, BufferMode::kFrozen);
  EXPECT_THAT(GatherTrainable(layout, base_), ElementsAre(4, 5, 6));
  EXPECT_THAT(Made(layout, {0, 0, 0}, {}), ElementsAre(1, 2, 3, 0, 0, 0));
}

TEST_F(ModelIo, InPlaceAsInANewModel) {
  const UpdateLayout layout = *MakeUpdateLayout(manifest_, {}, BufferMode::kAverage);
  std::vector<float> values = {10, 20, 40, 50, 60};
  SubtractTrainable(layout, base_, values);
  EXPECT_THAT(values, ElementsAre(9, 18, 36, 45, 54));
  std::vector<uint8_t> model = base_;
  ScatterTrainable(layout, values, model);
  EXPECT_THAT(Floats(model), ElementsAre(9, 18, 3, 36, 45, 54));
}

TEST_F(ModelIo, RefusesWhatDoesNotFit) {
  const UpdateLayout layout = *MakeUpdateLayout(manifest_, {}, BufferMode::kAverage);
  const std::vector<float> parameters(4);
  EXPECT_EQ(PutModel(blobs_.get(), manifest_, layout, base_, parameters, {}).status().code(),
            absl::StatusCode::kInternal);
  EXPECT_TRUE(blobs_->List()->empty());
}

}  // namespace
}  // namespace fedwatt
