#include "common/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

class LogTest : public testing::Test {
 protected:
  LogTest() {
    SetLogSinkForTest([this](const std::string& line) { lines_.push_back(line); });
  }
  ~LogTest() override {
    SetLogSinkForTest(nullptr);
    ConfigureLogging({});
  }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, PeopleSeeTimeLevelMessageAndFields) {
  LogWarning("client is late", {{"client", "c1"}, {"why", "no answer"}, {"note", ""}});
  ASSERT_THAT(lines_, SizeIs(1));
  EXPECT_THAT(lines_[0], MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9:.]+Z WARN  client is late "
                                      "client=c1 why=\"no answer\" note=\"\""));
}

TEST_F(LogTest, BelowTheLevelNothingIsWritten) {
  LogDebug("hidden");
  EXPECT_THAT(lines_, SizeIs(0));
  ConfigureLogging({.level = LogLevel::kDebug});
  LogDebug("shown");
  ConfigureLogging({.level = LogLevel::kError});
  LogWarning("hidden");
  LogError("shown");
  ConfigureLogging({.level = LogLevel::kOff});
  LogError("hidden");
  EXPECT_THAT(lines_, SizeIs(2));
}

TEST_F(LogTest, JsonLinesParseWhateverTheContent) {
  ConfigureLogging({.json = true, .component = "coordinator"});
  LogInfo("line one\nline \"two\"", {{"binary", "\xff\x01"}});
  ASSERT_THAT(lines_, SizeIs(1));
  EXPECT_THAT(lines_[0], Not(HasSubstr("\n")));
  const auto line = nlohmann::json::parse(lines_[0]);
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["component"], "coordinator");
  EXPECT_EQ(line["message"], "line one\nline \"two\"");
  EXPECT_TRUE(line["binary"].is_string());
}

TEST_F(LogTest, NeitherFieldNorMessageCanForgeALineOrDriveTheTerminal) {
  LogInfo("x\nERROR forged", {{"user", "a\n2026-01-01T00:00:00.000Z ERROR forged\x1b[2J\x7f"}});
  ASSERT_THAT(lines_, SizeIs(1));
  for (const char* bad : {"\n", "\x1b", "\x7f"}) EXPECT_THAT(lines_[0], Not(HasSubstr(bad)));
  EXPECT_THAT(lines_[0], HasSubstr("x ERROR forged user="));
}

TEST(ParseLogLevel, KnowsTheNamesAndSuggests) {
  EXPECT_EQ(*ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(*ParseLogLevel("off"), LogLevel::kOff);
  EXPECT_THAT(std::string(ParseLogLevel("warn").status().message()),
              HasSubstr("did you mean \"warning\"?"));
}

}  // namespace
}  // namespace fedwatt
