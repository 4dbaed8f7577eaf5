#include "common/model/manifest.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

Manifest ConvNet() {
  return *Manifest::Create({{"conv.weight", DType::kF32, {4, 2}, TensorRole::kTrainable},
                            {"bn.mean", DType::kF32, {4}, TensorRole::kBuffer},
                            {"bn.weight", DType::kF32, {4}, TensorRole::kTrainable},
                            {"bn.steps", DType::kI64, {}, TensorRole::kBuffer},
                            {"fc.weight", DType::kF32, {3}, TensorRole::kTrainable}});
}

TEST(GlobTest, StarsMatchRunsAndQuestionMarksOneCharacter) {
  EXPECT_TRUE(GlobMatches("", ""));
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("conv*", "conv.weight"));
  EXPECT_TRUE(GlobMatches("*.weight", "a.b.weight"));
  EXPECT_TRUE(GlobMatches("a?c", "abc"));
  EXPECT_TRUE(GlobMatches("*a*b*", "xxaxxbxx"));
  EXPECT_FALSE(GlobMatches("a?c", "ac"));
  EXPECT_FALSE(GlobMatches("conv", "conv.weight"));
  EXPECT_FALSE(GlobMatches("*.bias", "conv.weight"));
}

TEST(GlobTest, ManyStarsStayCheap) {
  std::string glob;
  for (int i = 0; i < 128; ++i) glob += "*a";
  EXPECT_FALSE(GlobMatches(glob + "b", std::string(256, 'a')));
}

TEST(UpdateLayoutTest, DeltaThenBuffersInManifestOrder) {
  const auto layout = MakeUpdateLayout(ConvNet(), {}, BufferMode::kAverage);
  ASSERT_TRUE(layout.ok()) << layout.status();
  ASSERT_EQ(layout->trainable.size(), 3u);
  EXPECT_EQ(layout->trainable[1].tensor, 2u);
  EXPECT_EQ(layout->trainable[1].model_offset, 48u);
  EXPECT_EQ(layout->trainable[1].offset, 8u);
  EXPECT_EQ(layout->trainable[1].elements, 4u);
  EXPECT_EQ(layout->coordinates, 15u);
  ASSERT_EQ(layout->buffers.size(), 2u);
  EXPECT_EQ(layout->buffers[1].tensor, 3u);
  EXPECT_EQ(layout->buffers[1].offset, 16u);
  EXPECT_EQ(layout->buffer_bytes, 24u);
}

TEST(UpdateLayoutTest, FrozenTensorsLeaveNoGap) {
  const auto layout = MakeUpdateLayout(ConvNet(), {"conv.*"}, BufferMode::kAverage);
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->coordinates, 7u);
  EXPECT_EQ(layout->trainable[0].tensor, 2u);
  EXPECT_EQ(layout->trainable[0].offset, 0u);
}

TEST(UpdateLayoutTest, LocalAndFrozenBuffersDoNotTravel) {
  for (const BufferMode mode : {BufferMode::kLocal, BufferMode::kFrozen}) {
    const auto layout = MakeUpdateLayout(ConvNet(), {}, mode);
    ASSERT_TRUE(layout.ok());
    EXPECT_TRUE(layout->buffers.empty());
    EXPECT_EQ(layout->buffer_bytes, 0u);
  }
}

TEST(UpdateLayoutTest, AGlobThatMatchesNothingIsAMistake) {
  const auto layout = MakeUpdateLayout(ConvNet(), {"fc.weigth"}, BufferMode::kAverage);
  EXPECT_EQ(layout.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(layout.status().message()), HasSubstr("did you mean \"fc.weight\"?"));
  EXPECT_FALSE(MakeUpdateLayout(ConvNet(), {"bn.mean"}, BufferMode::kAverage).ok());
}

TEST(UpdateLayoutTest, SomethingMustBeLeftToTrain) {
  const auto layout = MakeUpdateLayout(ConvNet(), {"*"}, BufferMode::kAverage);
  EXPECT_THAT(std::string(layout.status().message()), HasSubstr("nothing is left to train"));
}

}  // namespace
}  // namespace fedwatt
