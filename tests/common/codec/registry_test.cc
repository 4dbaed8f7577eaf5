#include <set>

#include "common/codec/codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

TEST(CodecRegistryTest, NamesAreUniqueAndTheCodecsOwn) {
  std::set<std::string> names;
  for (const CodecEntry& entry : BuiltinCodecs()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_EQ((*MakeCodec(entry.name))->spec().name, entry.name);
  }
  EXPECT_TRUE(names.contains("raw_f32"));
}

TEST(CodecRegistryTest, AnUnknownNameIsAnsweredWithTheNearest) {
  const auto codec = MakeCodec("raw_f23");
  EXPECT_EQ(codec.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(codec.status().message()),
              testing::HasSubstr("did you mean \"raw_f32\"?"));
}

}  // namespace
}  // namespace fedwatt
