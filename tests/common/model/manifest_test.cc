#include "common/model/manifest.h"

#include <limits>

#include "common/base/bounds.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

TensorSpec Trainable(const std::string& name, std::vector<int64_t> shape) {
  return {name, DType::kF32, std::move(shape), TensorRole::kTrainable};
}

std::string ErrorOf(std::vector<TensorSpec> tensors) {
  const auto manifest = Manifest::Create(std::move(tensors));
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(manifest.status().message());
}

TEST(ManifestTest, OffsetsFollowEachOtherWithoutPadding) {
  const auto manifest = Manifest::Create({Trainable("w", {3, 5}),
                                          {"flag", DType::kBool, {}, TensorRole::kBuffer},
                                          {"steps", DType::kI64, {}, TensorRole::kBuffer},
                                          Trainable("b", {5})});
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->OffsetBytes(0), 0u);
  EXPECT_EQ(manifest->OffsetBytes(1), 60u);
  EXPECT_EQ(manifest->OffsetBytes(2), 61u);
  EXPECT_EQ(manifest->OffsetBytes(3), 69u);
  EXPECT_EQ(manifest->TotalBytes(), 89u);
  EXPECT_EQ(manifest->TrainableElements(), 20u);
}

TEST(ManifestTest, AnEmptyDimensionMakesAnEmptyTensor) {
  const auto manifest = Manifest::Create({Trainable("w", {0, 7})});
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(manifest->TotalBytes(), 0u);
}

TEST(ManifestTest, EveryDTypeHasSizeAndName) {
  const size_t bytes[] = {4, 8, 2, 2, 8, 4, 2, 1, 1, 1};
  for (int i = 1; i <= static_cast<int>(DType::kBool); ++i) {
    EXPECT_EQ(DTypeBytes(static_cast<DType>(i)), bytes[i - 1]);
    EXPECT_STRNE(DTypeName(static_cast<DType>(i)), "unknown");
  }
  EXPECT_TRUE(IsFloating(DType::kBF16));
  EXPECT_FALSE(IsFloating(DType::kI8));
}

TEST(ManifestTest, RefusesBadNames) {
  EXPECT_THAT(ErrorOf({Trainable("", {1})}), HasSubstr("tensor 0"));
  EXPECT_THAT(ErrorOf({Trainable("w", {1}), Trainable("w", {1})}), HasSubstr("used twice"));
  EXPECT_THAT(ErrorOf({Trainable(std::string(257, 'n'), {1})}), HasSubstr("at most 256"));
  EXPECT_THAT(ErrorOf({Trainable("a\nb", {1})}), HasSubstr("control characters"));
}

TEST(ManifestTest, RefusesBadShapesWithoutOverflow) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(ErrorOf({Trainable("w", {-1})}), HasSubstr("\"w\" has shape [-1]"));
  EXPECT_THAT(ErrorOf({Trainable("w", {kHuge, kHuge})}), HasSubstr("product at most"));
  // 2^32 x 2^32 wraps to 0 in 64 bits.
  EXPECT_THAT(ErrorOf({Trainable("w", {int64_t{1} << 32, int64_t{1} << 32})}),
              HasSubstr("product at most"));
  EXPECT_THAT(ErrorOf({Trainable("w", std::vector<int64_t>(9, 1))}), HasSubstr("9 dimensions"));
}

TEST(ManifestTest, RefusesMoreThanABlobMayHold) {
  const int64_t half = static_cast<int64_t>(bounds::kMaxBlobBytes / 8);
  EXPECT_TRUE(Manifest::Create({Trainable("a", {half}), Trainable("b", {half})}).ok());
  EXPECT_THAT(ErrorOf({Trainable("a", {half}), Trainable("b", {half}), Trainable("c", {1})}),
              HasSubstr("up to tensor 2 \"c\""));
}

TEST(ManifestTest, RefusesTrainableTensorsThatAreNotFloat32) {
  EXPECT_THAT(ErrorOf({{"w", DType::kF64, {1}, TensorRole::kTrainable}}),
              HasSubstr("trainable and float64"));
}

TEST(ManifestTest, RefusesUnknownEnums) {
  EXPECT_THAT(ErrorOf({{"w", static_cast<DType>(42), {1}, TensorRole::kBuffer}}),
              HasSubstr("unknown dtype 42"));
  EXPECT_THAT(ErrorOf({{"w", DType::kF32, {1}, static_cast<TensorRole>(0)}}),
              HasSubstr("unknown role 0"));
}

TEST(ManifestTest, RefusesTooManyTensors) {
  EXPECT_THAT(ErrorOf(std::vector<TensorSpec>(bounds::kMaxTensors + 1)), HasSubstr("65537"));
}

}  // namespace
}  // namespace fedwatt
