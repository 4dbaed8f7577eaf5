#include "simulation/compare/tuning.h"

#include <gmock/gmock.h>

#include <map>

// What a sweep chooses, and how that is kept.
namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr char kText[] = R"(name = "m"
job = "job.toml"
[seeds]
tuning = [1, 2]
confirmation = [3]
[outcome]
target = 0.8
[[setting]]
name = "a"
sweep = { "round.goal" = [3, 5, 10] }
)";

CellResult Spent(double joules, bool reached = true) {
  CellResult result;
  Measure measure{"joules_to_target", "J", {}, {}};
  (reached ? measure.value : measure.at_least) = joules;
  result.measures = {measure};
  return result;
}

class TuningTest : public ::testing::Test {
 protected:
  TuningTest() : matrix_(*ParseMatrix(kText, "m.toml")) {
    variants_ = VariantsOf(matrix_, matrix_.settings[0]);
  }

  Matrix matrix_;
  std::vector<Variant> variants_;
};

TEST_F(TuningTest, TheLeastMeanIsChosen) {
  const auto tuned =
      Tune(matrix_, variants_, {{Spent(5), Spent(7)}, {Spent(1), Spent(8)}, {Spent(9), Spent(9)}});
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->best, 1U);
  EXPECT_DOUBLE_EQ(tuned->variants[1].mean, 4.5);
}

TEST_F(TuningTest, WhereMoreIsBetterTheGreatestMeanIs) {
  matrix_.outcome.less_is_better = false;
  const auto tuned = Tune(matrix_, variants_, {{Spent(5)}, {Spent(1)}, {Spent(9)}});
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->best, 2U);
}

// A run that was cut off is cheap because it was cut off.
TEST_F(TuningTest, ACensoredRunNeverHelps) {
  const auto tuned =
      Tune(matrix_, variants_,
           {{Spent(5), Spent(1, false)}, {Spent(50), Spent(80)}, {Spent(2, false), Spent(1)}});
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->best, 1U);
  EXPECT_EQ(tuned->variants[0].censored, 1U);
  EXPECT_DOUBLE_EQ(tuned->variants[0].mean, 3);
}

TEST_F(TuningTest, OfEqualsTheFirst) {
  const auto tuned = Tune(matrix_, variants_, {{Spent(5)}, {Spent(4)}, {Spent(4)}});
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->best, 1U);
}

TEST_F(TuningTest, WhatHasNotRunIsNotChosen) {
  const auto tuned = Tune(matrix_, variants_, {{}, {Spent(9)}, {}});
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  EXPECT_EQ(tuned->best, 1U);
}

TEST_F(TuningTest, WhatIsWrittenIsWhatIsRead) {
  auto tuned = Tune(matrix_, variants_, {{Spent(5)}, {Spent(4)}, {Spent(4, false)}});
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  tuned->code = "c0de";
  const std::string text = TunedText(matrix_, {*tuned});
  const auto read = ParseTuned(text, "tuned.toml");
  ASSERT_TRUE(read.ok()) << read.status();
  const TunedSetting& one = read->at("a");
  EXPECT_EQ(one.best, 1U);
  EXPECT_EQ(one.code, "c0de");
  ASSERT_EQ(one.variants.size(), 3U);
  EXPECT_EQ(KeysText(one.variants[1].chosen), "round.goal=5");
  EXPECT_EQ(one.variants[2].censored, 1U);
  EXPECT_DOUBLE_EQ(one.variants[0].mean, 5);
  EXPECT_TRUE(CheckTuned(matrix_, *read, "tuned.toml").ok());
  EXPECT_EQ(TunedText(matrix_, {one}), text);
}

TEST_F(TuningTest, AChoiceThatTheMatrixNoLongerHasIsRefused) {
  const auto tuned = Tune(matrix_, variants_, {{Spent(5)}, {Spent(4)}, {Spent(4)}});
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  const std::map<std::string, TunedSetting> kept = {{"a", *tuned}};
  matrix_.settings[0].sweeps[0].values = {"3", "10"};
  EXPECT_THAT(std::string(CheckTuned(matrix_, kept, "tuned.toml").message()),
              HasSubstr("setting a: the matrix no longer has its choice of round.goal=5; run with "
                        "--phase tune --only a"));
  matrix_.settings[0].name = "b";
  EXPECT_THAT(std::string(CheckTuned(matrix_, kept, "tuned.toml").message()),
              HasSubstr("setting b: it is not in it"));
}

TEST_F(TuningTest, ADamagedFileIsRefused) {
  for (const std::string text : {"[", "[[setting]]\nname = \"a\"\n",
                                 "[[setting]]\nname = \"a\"\nchosen = { x = \"1\" }\n"
                                 "variants = [{ keys = { x = \"2\" } }, 3]\n"}) {
    EXPECT_EQ(ParseTuned(text, "tuned.toml").status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST_F(TuningTest, ARunWithoutTheMeasureIsNamed) {
  EXPECT_THAT(std::string(Tune(matrix_, variants_, {{CellResult()}, {}, {}}).status().message()),
              HasSubstr("a run has no joules_to_target"));
}

}  // namespace
}  // namespace fedwatt
