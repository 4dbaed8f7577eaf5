#include "common/codec/codec_spec.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const absl::Status& status) { return std::string(status.message()); }

TEST(CodecSpecTest, ReadsANameWithAndWithoutParameters) {
  const auto plain = CodecSpec::Parse("raw_f32");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(*plain, (CodecSpec{"raw_f32", {}}));
  const auto eden = CodecSpec::Parse("eden:mode=lloyd_max,bits=2.5");
  ASSERT_TRUE(eden.ok());
  EXPECT_EQ(*eden, (CodecSpec{"eden", {{"bits", "2.5"}, {"mode", "lloyd_max"}}}));
}

TEST(CodecSpecTest, WritesParametersByName) {
  const auto spec = CodecSpec::Parse("eden:mode=uniform,bits=2");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->ToString(), "eden:bits=2,mode=uniform");
  EXPECT_EQ(*CodecSpec::Parse(spec->ToString()), *spec);
}

TEST(CodecSpecTest, MalformedTextsAreRefusedWithAnExample) {
  for (const char* const text :
       {"", ":", ":bits=2", "eden:", "eden:bits", "eden:bits=", "eden:=2", "eden:bits=2,",
        "eden:bits=2,bits=3", "eden bits", "eden:b its=2"}) {
    const auto spec = CodecSpec::Parse(text);
    EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(ErrorOf(spec.status()), HasSubstr("\"eden:bits=2\"")) << text;
  }
}

TEST(CodecParamsTest, GivesValuesAndDefaults) {
  const CodecSpec spec{"c", {{"bits", "2.5"}, {"rank", "4"}, {"mode", "b"}}};
  CodecParams params(spec);
  static constexpr const char* kModes[] = {"a", "b"};
  EXPECT_EQ(*params.Number("bits", 1, 0.5, 8), 2.5);
  EXPECT_EQ(*params.Number("other", 7, 0, 8), 7);
  EXPECT_EQ(*params.Integer("rank", 1, 1, 8), 4);
  EXPECT_EQ(*params.Word("mode", "a", kModes), "b");
  EXPECT_TRUE(params.Finish().ok());
}

TEST(CodecParamsTest, ErrorsNameCodecParameterValueAndLimits) {
  const CodecSpec spec{"c", {{"bits", "9"}, {"rank", "1.5"}, {"mode", "x"}, {"bist", "1"}}};
  CodecParams params(spec);
  static constexpr const char* kModes[] = {"a", "b"};
  EXPECT_EQ(ErrorOf(params.Number("bits", 1, 0.5, 8).status()),
            "codec \"c\": bits = 9: must be a number from 0.5 to 8");
  EXPECT_EQ(ErrorOf(params.Integer("rank", 1, 1, 8).status()),
            "codec \"c\": rank = 1.5: must be a whole number from 1 to 8");
  EXPECT_EQ(ErrorOf(params.Word("mode", "a", kModes).status()),
            "codec \"c\": mode = x: must be one of a, b");
  EXPECT_EQ(ErrorOf(params.Finish()),
            "codec \"c\" has no parameter \"bist\"; did you mean \"bits\"?");
}

}  // namespace
}  // namespace fedwatt
