#include "server/cli/codec_probe.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt::cli {
namespace {

using ::testing::ElementsAre;

TEST(CodecProbeTest, ALosslessCodecHasItsSizeAndNoError) {
  const auto codec = MakeCodec("raw_f32");
  ASSERT_TRUE(codec.ok());
  const auto probe = ProbeQuality(**codec, GaussianVector(100'000), {});
  ASSERT_TRUE(probe.ok()) << probe.status();
  EXPECT_EQ(probe->bits, 32);
  EXPECT_EQ(probe->vnmse, 0);
}

// What the codec says of itself is what the probe finds.
TEST(CodecProbeTest, FindsWhatEveryCodecSaysOfItself) {
  const std::vector<float> values = GaussianVector(1 << 20);
  const MatrixShape square = {0, 1024, 1024};
  for (const std::string& text : CodecsToCompare()) {
    const auto codec = MakeCodec(text);
    ASSERT_TRUE(codec.ok()) << codec.status();
    const auto probe = ProbeQuality(**codec, values, {&square, 1});
    ASSERT_TRUE(probe.ok()) << text << ": " << probe.status();
    const CodecQuality said = (*codec)->quality();
    EXPECT_NEAR(probe->bits / said.bits, 1, 0.03) << text;
    if (said.vnmse == 0) {
      EXPECT_EQ(probe->vnmse, 0) << text;
    } else {
      EXPECT_NEAR(probe->vnmse / said.vnmse, 1, 0.03) << text;
    }
  }
}

TEST(CodecProbeTest, WhatACodecRefusesIsAnError) {
  const auto codec = MakeCodec("f16");
  ASSERT_TRUE(codec.ok());
  const std::vector<float> values = {1, 1e30f};
  EXPECT_FALSE(ProbeQuality(**codec, values, {}).ok());
  EXPECT_FALSE(ProbeSpeed(**codec, values, {}, 1).ok());
}

TEST(CodecProbeTest, SpeedsArePositive) {
  const auto codec = MakeCodec("raw_f32");
  ASSERT_TRUE(codec.ok());
  const auto speed = ProbeSpeed(**codec, GaussianVector(1 << 16), {}, 3);
  ASSERT_TRUE(speed.ok()) << speed.status();
  EXPECT_GT(speed->encode_gb_s, 0);
  EXPECT_GT(speed->decode_gb_s, 0);
}

TEST(CodecProbeTest, VectorsAreWhatTheirNamesSay) {
  constexpr size_t kCount = 200'000;
  const auto share_beyond = [](const std::vector<float>& values, float limit) {
    const auto beyond = std::count_if(values.begin(), values.end(),
                                      [limit](float v) { return std::abs(v) > limit; });
    return static_cast<double>(beyond) / kCount;
  };
  const std::vector<float> gaussian = GaussianVector(kCount);
  EXPECT_NEAR(share_beyond(gaussian, 1.96f), 0.05, 0.003);
  EXPECT_EQ(share_beyond(gaussian, 7), 0);
  // P(|T| > t) of Student's t, 1.5 degrees of freedom: 0.0898 at 4, 0.00298 at 40 (numerically).
  const std::vector<float> heavy = HeavyTailedVector(kCount);
  EXPECT_NEAR(share_beyond(heavy, 4), 0.0898, 0.003);
  EXPECT_NEAR(share_beyond(heavy, 40), 0.00298, 0.0005);
  EXPECT_EQ(heavy, HeavyTailedVector(kCount)) << "the same in every run";
}

TEST(SplitCodecsTest, ParametersStayWithTheirCodec) {
  EXPECT_THAT(SplitCodecs("eden:bits=1,mode=lloyd_max,topk"),
              ElementsAre("eden:bits=1,mode=lloyd_max", "topk"));
  EXPECT_THAT(SplitCodecs("raw_f32,qsgd:levels=3,eden:bits=2"),
              ElementsAre("raw_f32", "qsgd:levels=3", "eden:bits=2"));
  EXPECT_THAT(SplitCodecs("bits=2"), ElementsAre("bits=2"));
}

TEST(CodecsToCompareTest, HoldsEveryRegisteredCodec) {
  const std::vector<std::string> texts = CodecsToCompare();
  for (const CodecEntry& entry : BuiltinCodecs()) {
    EXPECT_TRUE(std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
      return CodecSpec::Parse(text)->name == entry.name;
    })) << entry.name;
  }
}

}  // namespace
}  // namespace fedwatt::cli
