#include "simulation/compare/matrix.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

// What people write, and what they are told when it cannot be meant.
namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr char kText[] = R"(name = "energy"
job = "job.toml"
fleet = "fleet.toml"
clients = 30
trainer = "torch"
bundle = "/models/mlp.fwb"
dataset = "digits=idx:/data?seed={seed}"

[seeds]
tuning = [1, 2, 3]
confirmation = { first = 101, count = 4 }

[outcome]
measure = "joules_to_target"
better = "less"
target = 0.8
window = 5
reference = "joule"

[base]
"selector.params.battery_gate" = 1
plan.optimizer.lr = 0.1
plan.frozen = ["a*", "b"]

[[setting]]
name = "uniform"
fleet = "gentle.toml"
set = { "plan.optimizer.lr" = 0.05 }

[[setting]]
name = "joule"
[setting.set]
selector.name = "joule"
[setting.sweep]
round.goal = [3, 5]
"selector.params.gamma" = [0.5, 1.0, 2.0]
)";

absl::StatusOr<Matrix> Parse(const std::string& from = "", const std::string& to = "") {
  const std::string text = from.empty() ? kText : absl::StrReplaceAll(kText, {{from, to}});
  EXPECT_TRUE(from.empty() || text != kText) << from;
  return ParseMatrix(text, "dir/matrix.toml");
}

TEST(MatrixTest, SaysWhatItIsOf) {
  const auto matrix = Parse();
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  EXPECT_EQ(matrix->job, "dir/job.toml");
  EXPECT_EQ(matrix->bundle, "/models/mlp.fwb");
  EXPECT_EQ(matrix->clients, 30U);
  EXPECT_THAT(matrix->seeds,
              UnorderedElementsAre(Pair("tuning", ElementsAre(1, 2, 3)),
                                   Pair("confirmation", ElementsAre(101, 102, 103, 104))));
  EXPECT_EQ(matrix->outcome.target->value, 0.8);
  EXPECT_EQ(matrix->outcome.target->window, 5U);
  EXPECT_TRUE(matrix->outcome.target->ends_run);
}

TEST(MatrixTest, ASettingHasTheBasesKeysUnlessItSaysOtherwise) {
  const auto matrix = Parse();
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  const std::vector<Variant> uniform = VariantsOf(*matrix, matrix->settings[0]);
  ASSERT_EQ(uniform.size(), 1U);
  EXPECT_EQ(uniform[0].fleet, "dir/gentle.toml");
  EXPECT_EQ(KeysText(uniform[0].set),
            "plan.frozen=a*,b plan.optimizer.lr=0.05 selector.params.battery_gate=1");
  EXPECT_TRUE(uniform[0].chosen.empty());
}

TEST(MatrixTest, ASweepIsOneVariantForEachCombination) {
  const auto matrix = Parse();
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  std::vector<std::string> chosen;
  for (const Variant& one : VariantsOf(*matrix, matrix->settings[1])) {
    chosen.push_back(KeysText(one.chosen));
    EXPECT_EQ(one.fleet, "dir/fleet.toml");
    EXPECT_EQ(one.set.at("plan.optimizer.lr"), "0.1");
    EXPECT_EQ(one.set.at("round.goal"), one.chosen.at("round.goal"));
  }
  std::vector<std::string> wanted;
  for (const char* const goal : {"3", "5"}) {
    for (const char* const gamma : {"0.5", "1", "2"}) {
      wanted.push_back(absl::StrCat("round.goal=", goal, " selector.params.gamma=", gamma));
    }
  }
  EXPECT_EQ(chosen, wanted);
}

struct Refusal {
  std::string from;
  std::string to;
  std::string says;
};

TEST(MatrixTest, WhatCannotBeMeantIsRefusedWithItsPlace) {
  const Refusal refusals[] = {
      {"clients = 30", "clients = 0", "dir/matrix.toml:4: clients: 0: must be from 1"},
      {"clients = 30", "client = 30", "unknown key; did you mean \"clients\"?"},
      {"trainer = \"torch\"", "trainer = \"jax\"", "\"jax\": one of synthetic, torch"},
      {"name = \"energy\"", "name = \"a/b\"", "\"a/b\": must be 1 to 40 of letters"},
      {"job = \"job.toml\"", "", "job: which job file?"},
      {"[1, 2, 3]", "[1, 2, 103]", "103 is also in seeds.confirmation"},
      {"[1, 2, 3]", "[1, 2, 1]", "seeds.tuning: 1 is in it twice"},
      {"[1, 2, 3]", "[]", "seeds.tuning: must list"},
      {"[1, 2, 3]", "[-1]", "seeds.tuning: must list"},
      {"count = 4", "count = 0", "must say both"},
      {"confirmation =", "final =", "seeds.confirmation: missing; a matrix with a sweep"},
      {"target = 0.8\n", "", "\"joules_to_target\" needs a target"},
      {"window = 5", "window = 0", "outcome.window: 0: must be from 1"},
      {"\"less\"", "\"fewer\"", "\"fewer\": one of less, more"},
      {"reference = \"joule\"", "reference = \"jule\"", "did you mean \"joule\"?"},
      {"name = \"uniform\"", "name = \"joule\"", "two settings are called joule"},
      {"[3, 5]", "[3]", "joule.sweep.round.goal: must list two or more"},
      {"[3, 5]", "[3, 3]", "joule.sweep.round.goal: must list two or more"},
      {"selector.name = \"joule\"", "round.goal = 4", "round.goal is set as well"},
      {"selector.name = \"joule\"", "round.goal = 4\n\"round.goal\" = 5",
       "joule.set.round.goal: is said twice"},
      {"selector.name = \"joule\"", "selector.name = [[1]]", "must be a value of the job file"},
      {"[setting.sweep]", "[setting.sweeps]", "unknown key; did you mean \"sweep\"?"},
      {"clients = 30", "clients = ", "dir/matrix.toml:4"},
  };
  for (const Refusal& one : refusals) {
    const auto matrix = Parse(one.from, one.to);
    EXPECT_EQ(matrix.status().code(), absl::StatusCode::kInvalidArgument) << one.to;
    EXPECT_THAT(std::string(matrix.status().message()), HasSubstr(one.says)) << one.to;
  }
}

TEST(MatrixTest, WithoutSettingsOrSeedsThereIsNothingToCompare) {
  const std::string head = "name = \"a\"\njob = \"j\"\n[outcome]\ntarget = 1\n";
  EXPECT_THAT(std::string(ParseMatrix(head, "m").status().message()), HasSubstr("0 settings"));
  EXPECT_THAT(
      std::string(ParseMatrix(head + "[[setting]]\nname = \"x\"\n", "m").status().message()),
      HasSubstr("seeds: missing"));
}

}  // namespace
}  // namespace fedwatt
