#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "nlohmann/json.hpp"
#include "simulation/compare/runner.h"
#include "tests/common/base/temp_dir.h"
#include "tests/e2e/program.h"

// `fedwatt simulate compare` as its users run it: a small matrix, several times.
namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kJob[] =
    "name = \"tiny\"\nrounds = 5\n[dataset]\nname = \"d\"\n[round]\ngoal = 4\n"
    "[evaluation]\nevery = 1\n";
constexpr char kHead[] =
    "name = \"tiny\"\njob = \"job.toml\"\nclients = 20\nparameters = 50\n"
    "[outcome]\ntarget = 0.6\nwindow = 2\n";
constexpr char kPlain[] =
    "[seeds]\nall = [1, 2, 3]\n"
    "[[setting]]\nname = \"uniform\"\n"
    "[[setting]]\nname = \"robin\"\nset = { \"selector.name\" = \"round_robin\" }\n";
constexpr char kSwept[] =
    "[seeds]\ntuning = [1, 2]\nconfirmation = { first = 11, count = 3 }\n"
    "[[setting]]\nname = \"uniform\"\nsweep = { \"round.goal\" = [3, 6] }\n"
    "[[setting]]\nname = \"robin\"\nset = { \"selector.name\" = \"round_robin\" }\n";

class CompareCommandTest : public ::testing::Test {
 protected:
  CompareCommandTest() { Write("job.toml", kJob); }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(dir_.File(name), text).ok());
  }

  e2e::Output Compare(const std::string& body, std::vector<std::string> more = {},
                      const std::string& out = "runs") {
    Write("matrix.toml", std::string(kHead) + body);
    std::vector<std::string> argv = {e2e::BinDir() + "/fedwatt", "simulate", "compare",
                                     dir_.File("matrix.toml"),   "--out",    dir_.File(out)};
    argv.insert(argv.end(), more.begin(), more.end());
    return e2e::RunToEnd({.argv = argv}, dir_.path());
  }

  std::vector<std::string> Files(const std::string& below) const {
    return ListDir(dir_.File(below)).value_or(std::vector<std::string>());
  }

  TempDir dir_;
};

TEST_F(CompareCommandTest, RunsWhatIsMissingAndNothingElse) {
  const e2e::Output first = Compare(kPlain, {"--workers", "2"});
  ASSERT_EQ(first.code, 0) << first.ToString();
  EXPECT_THAT(first.err, HasSubstr("6 runs: 0 had been done, 6 were run, 0 failed"));
  EXPECT_THAT(first.out, HasSubstr("simulated"));
  const std::vector<std::string> cells = Files("runs/cells");
  EXPECT_THAT(cells, SizeIs(6));
  EXPECT_THAT(Files("runs/running"), SizeIs(0));

  const e2e::Output again = Compare(kPlain);
  EXPECT_THAT(again.err, HasSubstr("6 runs: 6 had been done, 0 were run"));
  EXPECT_EQ(again.out, first.out);

  ASSERT_TRUE(RemoveIfExists(dir_.File("runs/cells/" + cells[2])).ok());
  const e2e::Output last = Compare(kPlain);
  EXPECT_THAT(last.err, HasSubstr("5 had been done, 1 were run"));
  EXPECT_EQ(last.out, first.out);
}

TEST_F(CompareCommandTest, WorkersChangeNothing) {
  const e2e::Output two = Compare(kPlain, {"--workers", "2"}, "two");
  const e2e::Output one = Compare(kPlain, {"--workers", "1"}, "one");
  ASSERT_EQ(one.code, 0) << one.ToString();
  EXPECT_EQ(one.out, two.out);
  EXPECT_EQ(Files("one/cells"), Files("two/cells"));
}

TEST_F(CompareCommandTest, ChoosesOnTheTuningSeedsAndComparesOnOthers) {
  const e2e::Output early = Compare(kSwept, {"--phase", "confirm"});
  EXPECT_EQ(early.code, 6) << early.ToString();
  EXPECT_THAT(early.err, HasSubstr("tuned.toml: missing; run with --phase tune first"));

  const e2e::Output tuned = Compare(kSwept, {"--phase", "tune"});
  ASSERT_EQ(tuned.code, 0) << tuned.ToString();
  EXPECT_THAT(Files("runs/cells"), SizeIs(4));
  const std::string chosen = ReadFile(dir_.File("runs/tuned.toml"), 10'000).value_or("");
  EXPECT_THAT(chosen, HasSubstr("name = \"uniform\"\ncode = \""));
  EXPECT_THAT(chosen, Not(HasSubstr("robin")));

  const e2e::Output confirmed = Compare(kSwept, {"--phase", "confirm"});
  ASSERT_EQ(confirmed.code, 0) << confirmed.ToString();
  EXPECT_THAT(confirmed.err, HasSubstr("6 runs: 0 had been done, 6 were run"));
  // Both phases in one go come to the same.
  const e2e::Output all = Compare(kSwept, {}, "all");
  EXPECT_EQ(all.out, confirmed.out);
  EXPECT_EQ(Files("all/cells"), Files("runs/cells"));
}

TEST_F(CompareCommandTest, OneSettingIsTunedAnewAndTheOthersKeepTheirChoice) {
  const std::string body = std::string(kSwept) +
                           "[[setting]]\nname = \"oort\"\nset = { \"selector.name\" = \"oort\" }\n"
                           "sweep = { \"round.goal\" = [3, 6] }\n";
  const e2e::Output part = Compare(body, {"--phase", "tune", "--only", "oort"});
  EXPECT_EQ(part.code, 0) << part.ToString();
  EXPECT_THAT(part.err, HasSubstr("tuned.toml is not written: uniform lacks runs"));
  const e2e::Output early = Compare(body, {"--only", "oort"});
  EXPECT_EQ(early.code, 6) << early.ToString();
  EXPECT_THAT(early.err, HasSubstr("tuning runs of uniform are missing"));

  ASSERT_EQ(Compare(body, {"--phase", "tune"}).code, 0);
  const std::string chosen = ReadFile(dir_.File("runs/tuned.toml"), 10'000).value_or("");
  for (const std::string& cell : Files("runs/cells")) {
    ASSERT_TRUE(RemoveIfExists(dir_.File("runs/cells/" + cell)).ok());
  }
  const e2e::Output anew = Compare(body, {"--phase", "tune", "--only", "oort"});
  ASSERT_EQ(anew.code, 0) << anew.ToString();
  EXPECT_THAT(anew.err, HasSubstr("4 runs: 0 had been done, 4 were run"));
  EXPECT_EQ(ReadFile(dir_.File("runs/tuned.toml"), 10'000).value_or(""), chosen);
}

TEST_F(CompareCommandTest, OnlySomeSettings) {
  const e2e::Output some = Compare(kPlain, {"--only", "robin"});
  ASSERT_EQ(some.code, 0) << some.ToString();
  EXPECT_THAT(Files("runs/cells"), SizeIs(3));
  EXPECT_THAT(some.out, Not(HasSubstr("uniform")));
  const e2e::Output none = Compare(kPlain, {"--only", "robim"});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("did you mean \"robin\"?"));
}

// The job is fine, and no device can ever do it: only the run finds that out.
TEST_F(CompareCommandTest, ARunThatFailsIsKeptWithItsReasonAndTriedAgain) {
  const std::string body = std::string(kPlain) +
                           "[[setting]]\nname = \"vain\"\n"
                           "set = { \"eligibility.min_memory_bytes\" = 1000000000000 }\n";
  for (int i = 0; i < 2; ++i) {
    const e2e::Output output = Compare(body, {"--workers", "2"});
    EXPECT_EQ(output.code, 1) << output.ToString();
    EXPECT_THAT(output.err, HasSubstr("FAILED: exit code 2: no device of fleet"));
    EXPECT_THAT(output.err, HasSubstr("3 failed"));
    EXPECT_THAT(Files("runs/cells"), SizeIs(6));
    EXPECT_THAT(Files("runs/failed"), SizeIs(3));
  }
}

TEST_F(CompareCommandTest, AReportOnOtherCodeRunsNothing) {
  ASSERT_EQ(Compare(kPlain).code, 0);
  const e2e::Output other = Compare(kPlain, {"--of-code", "c0de"});
  EXPECT_THAT(other.out, HasSubstr("code c0de"));
  EXPECT_THAT(other.err, Not(HasSubstr("were run")));
  EXPECT_THAT(Files("runs/cells"), SizeIs(6));
}

TEST_F(CompareCommandTest, TheSameFiguresAsTextAsJsonAsMarkdownAndAsPage) {
  const std::string body = std::string(kPlain) +
                           "[[claim]]\nsetting = \"robin\"\nagainst = \"uniform\"\n"
                           "change_at_least = -1\n";
  const e2e::Output text =
      Compare(body, {"--plots", dir_.File("plots"), "--markdown", dir_.File("report.md"), "--html",
                     dir_.File("report.html")});
  ASSERT_EQ(text.code, 0) << text.ToString();
  for (const absl::string_view line : absl::StrSplit(text.out, '\n')) {
    EXPECT_LE(line.size(), 100U) << line;
  }
  const e2e::Output json = Compare(body, {"--json"});
  EXPECT_EQ(json.err, "");
  const nlohmann::json out = json.Json();
  ASSERT_TRUE(out.is_object()) << json.ToString();
  EXPECT_EQ(out["quality"], "simulated");
  EXPECT_EQ(out["claims"][0]["verdict"], "holds");
  ASSERT_EQ(out["settings"].size(), 2U);
  const nlohmann::json& measure = out["settings"][1]["measures"]["joules_to_target"];
  EXPECT_EQ(measure["runs"], 3);
  const double change = measure["against_reference"]["change"]["value"];
  const std::string shown = absl::StrFormat("%+.1f %%", change * 100);
  const std::string page = ReadFile(dir_.File("report.html"), 1 << 20).value_or("");
  const std::string markdown = ReadFile(dir_.File("report.md"), 1 << 20).value_or("");
  for (const std::string& told : {text.out, markdown, page}) {
    EXPECT_THAT(told, HasSubstr(shown));
    EXPECT_THAT(told, HasSubstr("simulated"));
    EXPECT_THAT(told, HasSubstr("joules_to_target of robin less that of uniform: at least -100 %"));
  }
  EXPECT_THAT(page, HasSubstr("<svg"));
  EXPECT_THAT(markdown, HasSubstr("![simulated](plots/outcome.svg)"));
  EXPECT_TRUE(FileExists(dir_.File("plots/outcome.svg")));

  const e2e::Output other = Compare(body, {"--reference", "robin"});
  EXPECT_THAT(other.out, HasSubstr("change against robin"));
}

TEST_F(CompareCommandTest, BadInputIsToldBeforeAnythingRuns) {
  const e2e::Output unknown = Compare("colour = 1\n" + std::string(kPlain));
  EXPECT_EQ(unknown.code, 2) << unknown.ToString();
  EXPECT_THAT(unknown.err, HasSubstr("matrix.toml"));
  const e2e::Output measure = Compare(absl::StrCat("measure = \"jouls_to_target\"\n", kPlain));
  EXPECT_EQ(measure.code, 2) << measure.ToString();
  EXPECT_THAT(measure.err, HasSubstr("did you mean \"joules_to_target\"?"));
  EXPECT_EQ(Compare(kPlain, {"--phase", "tune"}).code, 2);
  EXPECT_FALSE(FileExists(dir_.File("runs/cells")));
}

}  // namespace
}  // namespace fedwatt
