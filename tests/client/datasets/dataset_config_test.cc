#include "client/datasets/dataset.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

TEST(DatasetConfig, ReadsWhatItWrites) {
  const std::string text = "mnist=idx:/data/m?client=3&clients=8&split=train";
  const auto config = DatasetConfig::Parse(text);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "mnist");
  EXPECT_EQ(config->format, "idx");
  EXPECT_EQ(config->path, "/data/m");
  EXPECT_EQ(config->options.at("client"), "3");
  EXPECT_EQ(config->ToString(), text);
}

TEST(DatasetConfig, WantsNoOptions) {
  EXPECT_EQ(DatasetConfig::Parse("t=text:a.txt")->path, "a.txt");
}

TEST(DatasetConfig, SaysWhatItExpects) {
  for (const std::string bad : {"", "mnist", "=idx:/x", "mnist=idx", "mnist=idx:", "m=idx:/x?a",
                                "m=idx:/x?a=", "m=idx:/x?=b"}) {
    const auto config = DatasetConfig::Parse(bad);
    ASSERT_FALSE(config.ok()) << bad;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr("expected name=format:path"));
  }
}

TEST(OpenDataset, NamesTheNearestFormat) {
  const auto opened = OpenDataset(*DatasetConfig::Parse("d=idxx:/nowhere"));
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("did you mean \"idx\""));
}

}  // namespace
}  // namespace fedwatt
