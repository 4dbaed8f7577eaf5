// The transcripts in testdata/ are the round's behaviour, for people to read. After a change that
// is meant, write them anew and review the difference:
//
//   FEDWATT_REWRITE=1 build/release/bin/tests/round_test --gtest_filter='*Transcript*'

#include "tests/server/round/transcript.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "tests/test_name.h"

namespace fedwatt {
namespace {

constexpr char kFolder[] = "tests/server/round/testdata";

std::vector<std::string> Scripts() {
  auto names = ListDir(kFolder);
  return names.ok() ? *std::move(names) : std::vector<std::string>();
}

class TranscriptTest : public testing::TestWithParam<std::string> {};

TEST_P(TranscriptTest, RoundAnswersAsWritten) {
  const std::string path = std::string(kFolder) + "/" + GetParam();
  const auto script = ReadFile(path, 1 << 20);
  ASSERT_TRUE(script.ok()) << script.status();
  const auto actual = RunTranscript(*script);
  ASSERT_TRUE(actual.ok()) << actual.status();
  if (std::getenv("FEDWATT_REWRITE") != nullptr) {
    ASSERT_TRUE(WriteFileAtomic(path, *actual).ok());
    return;
  }
  EXPECT_EQ(*script, *actual);
}

INSTANTIATE_TEST_SUITE_P(Testdata, TranscriptTest, testing::ValuesIn(Scripts()),
                         [](const auto& info) { return TestName(info.param); });

TEST(TranscriptFolderTest, IsFoundFromTheWorkingDirectory) { EXPECT_GE(Scripts().size(), 20u); }

TEST(TranscriptLanguageTest, NamesTheLineItCannotRead) {
  for (const std::string line :
       {"> begin", "limits goal=many", "limits gaol=2", "gibberish", "limits goal=1\n> @x begin",
        "limits goal=1\n> report", "limits goal=1\n> report one", "limits goal=1\n> dance 3",
        "  an answer to nothing"}) {
    EXPECT_EQ(RunTranscript(line + "\n").status().code(), absl::StatusCode::kInvalidArgument)
        << line;
  }
}

TEST(TranscriptLanguageTest, ReplacesAWrongAnswer) {
  EXPECT_EQ(*RunTranscript("# c\nlimits goal=1 selection=5\n\n> @3 begin\n  wrong\n"),
            "# c\nlimits goal=1 selection=5\n\n> @3 begin\n  SetTimer at=8\n  -> selecting\n");
}

}  // namespace
}  // namespace fedwatt
