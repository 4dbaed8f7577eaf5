#include "common/wire/job_file.h"

#include <stdlib.h>

#include "common/base/file.h"
#include "common/wire/schema_words.h"
#include "fedwatt/v1/job.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace fedwatt {
namespace {

constexpr char kLeast[] = R"(name = "mnist"
[dataset]
name = "fashion-mnist"
[round]
goal = 8
)";

absl::StatusOr<JobSpec> Parse(const std::string& more, const JobOverrides& overrides = {}) {
  return ParseJobText(kLeast + more, "job.toml", overrides);
}

std::string ErrorOf(const std::string& more, const JobOverrides& overrides = {}) {
  const auto spec = Parse(more, overrides);
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(spec.status().message());
}

std::string SetError(const std::string& set) { return ErrorOf("", {{}, {set}}); }

TEST(JobFileTest, ReadsEverySortOfValue) {
  const auto spec = Parse(R"(over_selection = 1.5
report_deadline_s = 60
[eligibility.labels]
region = "eu"
[strategy]
name = "fedprox"
params = { mu = 0.1, k = 3 }
[plan]
frozen = ["conv.*", "bn?"]
buffers = "local"
local_steps = 20
[plan.optimizer]
kind = "adamw"
nesterov = false
[evaluation]
every = 2
[stop]
target = 0.9
[retention]
keep_best = false
)");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "mnist");
  EXPECT_EQ(spec->round.goal, 8u);
  EXPECT_EQ(spec->round.over_selection, 1.5);
  EXPECT_EQ(spec->round.report_deadline_s, 60);
  EXPECT_EQ(spec->eligibility.labels.at("region"), "eu");
  EXPECT_EQ(spec->strategy.params.at("mu"), 0.1);
  EXPECT_EQ(spec->strategy.params.at("k"), 3);
  EXPECT_THAT(spec->plan.frozen, testing::ElementsAre("conv.*", "bn?"));
  EXPECT_EQ(spec->plan.buffers, BufferMode::kLocal);
  EXPECT_EQ(spec->plan.local_steps, 20u);
  EXPECT_EQ(spec->plan.local_epochs, 0u);
  EXPECT_EQ(spec->plan.optimizer.kind, OptimizerKind::kAdamW);
  EXPECT_EQ(spec->evaluation.every, 2u);
  EXPECT_EQ(spec->stop.target, 0.9);
  EXPECT_FALSE(spec->retention.keep_best);
}

TEST(JobFileTest, AnUnknownKeyIsPlacedAndAnsweredWithTheNearest) {
  EXPECT_EQ(ErrorOf("min_report = 4\n"),
            "job.toml:6:1: unknown key \"min_report\" in [round]; did you mean \"min_reports\"?");
  EXPECT_EQ(ErrorOf("[plan.optimiser]\nlr = 1\n"),
            "job.toml:6:7: unknown key \"optimiser\" in [plan]; did you mean \"optimizer\"?");
  EXPECT_EQ(ErrorOf("[plann]\n"), "job.toml:6:2: unknown key \"plann\"; did you mean \"plan\"?");
}

TEST(JobFileTest, TheFirstMistakeInTheFileIsReported) {
  EXPECT_THAT(ErrorOf("zzz = 1\naaa = 2\n"),
              testing::StartsWith("job.toml:6:1: unknown key \"zzz\""));
}

TEST(JobFileTest, AWrongTypeNamesTheExpectedOne) {
  EXPECT_EQ(ErrorOf("min_reports = \"4\"\n"),
            "job.toml:6:15: round.min_reports must be an integer, not a string");
  EXPECT_EQ(ErrorOf("min_reports = 4.0\n"),
            "job.toml:6:15: round.min_reports must be an integer, not a floating-point number");
  EXPECT_EQ(ErrorOf("over_selection = true\n"),
            "job.toml:6:18: round.over_selection must be a number, not a boolean");
  EXPECT_EQ(ErrorOf("[retention]\nkeep_best = 1\n"),
            "job.toml:7:13: retention.keep_best must be true or false, not an integer");
  EXPECT_EQ(ErrorOf("[codec]\nup = 1979-05-27\n"),
            "job.toml:7:6: codec.up must be a string in quotes, not a date or time");
  EXPECT_EQ(ErrorOf("[plan]\nfrozen = \"conv\"\n"),
            "job.toml:7:10: plan.frozen must be a list such as [\"a\", \"b\"], not a string");
  EXPECT_EQ(ErrorOf("[plan]\nfrozen = [1]\n"),
            "job.toml:7:11: plan.frozen must be a string in quotes, not an integer");
  EXPECT_EQ(ErrorOf("[plan]\noptimizer = \"sgd\"\n"),
            "job.toml:7:13: plan.optimizer must be a table, not a string");
  EXPECT_EQ(ErrorOf("[strategy.params]\nmu = \"x\"\n"),
            "job.toml:7:6: strategy.params.mu must be a number, not a string");
}

TEST(JobFileTest, AnUnknownWordListsTheKnownOnes) {
  EXPECT_EQ(ErrorOf("[plan.optimizer]\nkind = \"adma\"\n"),
            "job.toml:7:8: plan.optimizer.kind = \"adma\": must be one of \"sgd\", \"adam\", "
            "\"adamw\"; did you mean \"adam\"?");
  EXPECT_THAT(ErrorOf("[plan]\nbuffers = \"unspecified\"\n"),
              testing::HasSubstr("must be one of \"average\", \"local\", \"frozen\""));
}

TEST(JobFileTest, NumbersOutOfRangeArePlaced) {
  EXPECT_EQ(ErrorOf("min_reports = -1\n"),
            "job.toml:6:15: round.min_reports = -1: must be at least 0");
  EXPECT_EQ(ErrorOf("min_reports = 4294967296\n"),
            "job.toml:6:15: round.min_reports = 4294967296: must be at most 4294967295");
  EXPECT_EQ(ErrorOf("over_selection = inf\n"),
            "job.toml:6:18: round.over_selection must be a finite number");
}

TEST(JobFileTest, ValidationIsPlacedToo) {
  EXPECT_EQ(ErrorOf("min_reports = 9\n"),
            "job.toml:6:15: round.min_reports = 9: must be at most round.goal = 8; write e.g. "
            "min_reports = 4");
  EXPECT_EQ(std::string(ParseJobText("name = \"x\"\n[dataset]\nname = \"d\"\n[round]\ngoal = 0\n",
                                     "job.toml")
                            .status()
                            .message()),
            "job.toml:5:8: round.goal = 0: must be at least 1; write e.g. goal = 8");
  EXPECT_EQ(std::string(ParseJobText("", "job.toml").status().message()),
            "job.toml: name = \"\": must be 1 to 64 letters, digits, '.', '_' or '-', beginning "
            "with a letter or digit; write e.g. name = \"my-job\"");
}

TEST(JobFileTest, BrokenTomlIsPlaced) {
  EXPECT_THAT(ErrorOf("x = \n"), testing::StartsWith("job.toml:6:5: "));
  EXPECT_THAT(ErrorOf("goal = 3\n"), testing::StartsWith("job.toml:6:8: "));  // defined twice
}

TEST(JobFileTest, SetOverridesTheFile) {
  const auto spec =
      Parse("", {{},
                 {"round.goal=3", "plan.optimizer.kind=adam", "plan.optimizer.lr=1e-3",
                  "name=other", "strategy.params.mu=2", "eligibility.labels.site.a=x",
                  "plan.frozen=a.*,b", "retention.keep_best=false", "stop.metric=\"top 5\""}});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->round.goal, 3u);
  EXPECT_EQ(spec->plan.optimizer.kind, OptimizerKind::kAdam);
  EXPECT_EQ(spec->plan.optimizer.lr, 1e-3);
  EXPECT_EQ(spec->name, "other");
  EXPECT_EQ(spec->strategy.params.at("mu"), 2);
  EXPECT_EQ(spec->eligibility.labels.at("site.a"), "x");
  EXPECT_THAT(spec->plan.frozen, testing::ElementsAre("a.*", "b"));
  EXPECT_FALSE(spec->retention.keep_best);
  EXPECT_EQ(spec->stop.metric, "top 5");
}

TEST(JobFileTest, SetErrorsNameTheirArgument) {
  EXPECT_EQ(SetError("round.gaol=3"),
            "--set round.gaol=3: unknown key \"gaol\" in [round]; did you mean \"goal\"?");
  EXPECT_EQ(SetError("round.goal=many"), "--set round.goal=many: the value must be an integer");
  EXPECT_EQ(SetError("round.goal=true"),
            "--set round.goal=true: round.goal must be an integer, not a boolean");
  EXPECT_EQ(SetError("round.goal=0"),
            "--set round.goal=0: round.goal = 0: must be at least 1; write e.g. goal = 8");
  EXPECT_EQ(SetError("round=3"),
            "--set round=3: round is a table; set one of its keys, e.g. round.goal=...");
  EXPECT_EQ(SetError("name.x=3"), "--set name.x=3: name is a single value and has no key \"x\"");
  EXPECT_EQ(SetError("round.goal"), "--set round.goal: must be key=value, e.g. --set round.goal=8");
  EXPECT_EQ(SetError("rounds=1\nname=2"), "--set rounds=1\nname=2: the value must be an integer");
}

TEST(JobFileTest, TheEnvironmentStandsBetweenFileAndSet) {
  const JobOverrides overrides = {
      {"FEDWATT_JOB__ROUND__GOAL=5", "FEDWATT_JOB__ROUNDS=7", "PATH=/bin"}, {"rounds=9"}};
  const auto spec = Parse("", overrides);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->round.goal, 5u);
  EXPECT_EQ(spec->rounds, 9u);
  EXPECT_EQ(ErrorOf("", {{"FEDWATT_JOB__ROUND__GAOL=5"}, {}}),
            "environment variable FEDWATT_JOB__ROUND__GAOL: unknown key \"gaol\" in [round]; did "
            "you mean \"goal\"?");
}

TEST(JobFileTest, ReadsTheProcessEnvironment) {
  ASSERT_EQ(setenv("FEDWATT_JOB__SEED", "42", 1), 0);
  EXPECT_THAT(JobEnvironment(), testing::Contains("FEDWATT_JOB__SEED=42"));
  ASSERT_EQ(unsetenv("FEDWATT_JOB__SEED"), 0);
}

TEST(JobFileTest, ABundleIsFoundBesideItsJobFile) {
  const std::string folder = testing::TempDir() + "/job_file_test";
  ASSERT_TRUE(EnsureDir(folder).ok());
  const std::string path = folder + "/job.toml";
  ASSERT_TRUE(WriteFileAtomic(path, std::string(kLeast) + "[model]\nbundle = \"a/m.fwb\"\n").ok());
  EXPECT_EQ(LoadJobFile(path)->model.bundle, folder + "/a/m.fwb");
  EXPECT_EQ(LoadJobFile(path, {{}, {"model.bundle=here.fwb"}})->model.bundle, "here.fwb");
  EXPECT_EQ(LoadJobFile(path, {{}, {"model.bundle=/x.fwb"}})->model.bundle, "/x.fwb");
}

TEST(JobFileTest, MissingAndHugeFilesAreRefused) {
  EXPECT_EQ(LoadJobFile("/nonexistent/job.toml").status().code(), absl::StatusCode::kNotFound);
  const std::string path = testing::TempDir() + "/huge.toml";
  ASSERT_TRUE(WriteFileAtomic(path, std::string(2 << 20, '#')).ok());
  EXPECT_EQ(LoadJobFile(path).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(JobFileTest, JsonSpellsEveryKeyAsTheFile) {
  const auto json = nlohmann::json::parse(JobSpecToJson(*Parse("")));
  EXPECT_EQ(json["round"]["goal"], 8);
  EXPECT_EQ(json["plan"]["optimizer"]["kind"], "sgd");
  EXPECT_EQ(json["bounds"]["max_weight"], 100000);
  EXPECT_FALSE(json["stop"].contains("target"));
}

void ExpectDocumented(const google::protobuf::Descriptor& message, const std::string& path,
                      const std::string& text) {
  for (int i = 0; i < message.field_count(); ++i) {
    const auto& field = *message.field(i);
    const std::string name(field.name());
    if (field.cpp_type() == field.CPPTYPE_MESSAGE && !field.is_map()) {
      ExpectDocumented(*field.message_type(), path + name + ".", text);
      continue;
    }
    EXPECT_THAT(text, testing::HasSubstr("`" + path + name + "`"));
    if (field.enum_type() == nullptr) continue;
    for (const std::string& word : wire::EnumWords(*field.enum_type())) {
      EXPECT_THAT(text, testing::HasSubstr("`\"" + word + "\"`"));
    }
  }
}

// Tests run in the source root.
TEST(JobFileTest, EveryKeyIsDocumented) {
  const auto text = ReadFile("docs/job-file.md", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status();
  ExpectDocumented(*v1::JobSpec::descriptor(), "", *text);
}

// The example in the documentation is a job file.
TEST(JobFileTest, TheDocumentedExampleIsValid) {
  const auto text = ReadFile("docs/job-file.md", 1 << 20);
  ASSERT_TRUE(text.ok());
  const size_t begin = text->find("```toml\n") + 8;
  const auto spec = ParseJobText(text->substr(begin, text->find("```", begin) - begin), "example");
  EXPECT_TRUE(spec.ok()) << spec.status();
}

}  // namespace
}  // namespace fedwatt
