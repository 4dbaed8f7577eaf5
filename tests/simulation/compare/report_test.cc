#include "simulation/compare/report.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "simulation/compare/claims.h"

// What runs say together, and what becomes of claims, from runs that are written down here.
namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kText[] = R"(name = "m"
job = "job.toml"
[seeds]
all = [1, 2, 3]
[outcome]
target = 0.8
window = 2
[[setting]]
name = "uniform"
[[setting]]
name = "joule"
[[setting]]
name = "oort"
)";

// Joules to the target; a negative one was spent in vain.
CellResult Spent(double joules) {
  CellResult result;
  result.metric = "accuracy";
  Measure measure{"joules_to_target", "J", {}, {}};
  (joules < 0 ? measure.at_least : measure.value) = std::abs(joules);
  result.measures = {{"rounds", "", 7, {}}, measure};
  return result;
}

SettingRuns RunsOf(const std::string& setting, const std::vector<double>& joules) {
  SettingRuns runs{.variant = {.setting = setting}};
  for (size_t i = 0; i < joules.size(); ++i) runs.runs.push_back({i + 1, Spent(joules[i])});
  return runs;
}

class ReportTest : public ::testing::Test {
 protected:
  explicit ReportTest(const std::string& more = "")
      : matrix_(*ParseMatrix(kText + more, "m.toml")) {
    input_ = {.code = "c0de", .seeds_name = "all", .seeds = 3};
    input_.settings = {RunsOf("uniform", {10, 20, 30}), RunsOf("joule", {5, 10, 15}),
                       RunsOf("oort", {8, 16, 24})};
  }

  // One claim's verdict.
  ClaimReport Judge(const std::string& claim) {
    const std::string text = absl::StrCat(kText, "[[claim]]\nsetting = \"joule\"\n", claim);
    const auto matrix = ParseMatrix(text, "m.toml");
    EXPECT_TRUE(matrix.ok()) << matrix.status();
    return JudgeClaims(*matrix, input_).at(0);
  }

  Matrix matrix_;
  ReportInput input_;
};

TEST_F(ReportTest, ComparesEverySettingWithTheReferenceSeedBySeed) {
  const ComparisonReport report = MakeReport(matrix_, input_);
  EXPECT_EQ(report.outcome.reference, "uniform");
  ASSERT_THAT(report.settings, SizeIs(3));
  EXPECT_FALSE(report.settings[0].Find("joules_to_target")->against.has_value());
  const MeasureReport& joule = *report.Find("joule")->Find("joules_to_target");
  EXPECT_EQ(joule.unit, "J");
  EXPECT_DOUBLE_EQ(joule.mean->value, 10);
  EXPECT_DOUBLE_EQ(joule.against->change->value, -0.5);
  EXPECT_DOUBLE_EQ(joule.against->change->interval->high, -0.5);
  EXPECT_EQ(joule.against->less, 3U);
  EXPECT_EQ(report.settings[1].measures[0].name, "joules_to_target");
  EXPECT_EQ(report.settings[1].measures[1].name, "rounds");
}

TEST_F(ReportTest, TheReferenceIsTheMatrixsChoice) {
  matrix_.outcome.reference = "oort";
  const ComparisonReport report = MakeReport(matrix_, input_);
  EXPECT_DOUBLE_EQ(report.Find("joule")->Find("joules_to_target")->against->change->value,
                   10.0 / 16 - 1);
}

TEST_F(ReportTest, OnlySeedsThatBothHaveArePairs) {
  input_.settings[0].runs.erase(input_.settings[0].runs.begin());  // seed 1
  input_.settings[1].runs.pop_back();                              // seed 3
  const ComparisonReport report = MakeReport(matrix_, input_);
  const MeasureReport& joule = *report.Find("joule")->Find("joules_to_target");
  EXPECT_EQ(joule.against->pairs, 1U);
  EXPECT_DOUBLE_EQ(joule.against->difference.value, 10 - 20);
  EXPECT_EQ(joule.runs, 2U);
}

TEST_F(ReportTest, ACensoredRunIsCountedAndMakesABound) {
  input_.settings[1] = RunsOf("joule", {5, -10, 15});
  const ComparisonReport report = MakeReport(matrix_, input_);
  const MeasureReport& joule = *report.Find("joule")->Find("joules_to_target");
  EXPECT_EQ(joule.censored, 1U);
  EXPECT_EQ(joule.runs, 3U);
  EXPECT_EQ(joule.mean->bound, Bound::kAtLeast);
  EXPECT_DOUBLE_EQ(joule.mean->value, 10);
  EXPECT_EQ(joule.against->change->bound, Bound::kAtLeast);
  EXPECT_EQ(joule.against->less, 2U);
  EXPECT_TRUE(report.Find("joule")->outcome[1].second.censored);
}

TEST_F(ReportTest, NothingToCompareIsNoFigure) {
  input_.settings[1].runs.clear();
  const ComparisonReport report = MakeReport(matrix_, input_);
  const MeasureReport& joule = *report.Find("joule")->Find("joules_to_target");
  EXPECT_FALSE(joule.mean.has_value());
  EXPECT_FALSE(joule.against.has_value());
  EXPECT_THAT(MakeReport(matrix_, {}).settings, IsEmpty());
}

TEST(JoulesToLevelTest, IsWhereTheMeanFirstIsThere) {
  // Means over two: 0.5, 0.7, 0.65.
  const std::vector<MeasuredRound> rounds = {
      {1, 0, 10, 0.4}, {2, 0, 20, 0.6}, {3, 0, 30, 0.8}, {4, 0, 40, 0.5}};
  EXPECT_EQ(JoulesToLevel(rounds, 2, 0.45, false), 20);
  EXPECT_EQ(JoulesToLevel(rounds, 2, 0.6, false), 30);
  EXPECT_EQ(JoulesToLevel(rounds, 2, 0.71, false), std::nullopt);
  EXPECT_EQ(JoulesToLevel(rounds, 1, 0.8, false), 30);
  EXPECT_EQ(JoulesToLevel(rounds, 2, 0.5, true), 20);
  EXPECT_EQ(JoulesToLevel(rounds, 5, 0.1, false), std::nullopt);
}

// A curve ends in the table's own figure: the mean joules to the target.
TEST_F(ReportTest, ACurveEndsAtTheTarget) {
  for (SettingRuns& setting : input_.settings) {
    for (SeedRun& run : setting.runs) {
      const double joules = *run.result.Find("joules_to_target")->value;
      for (int round = 1; round <= 9; ++round) {
        run.result.rounds.push_back(
            {static_cast<uint64_t>(round), 0, joules * round / 8, 0.05 + 0.1 * round});
      }
    }
  }
  const ComparisonReport report = MakeReport(matrix_, input_);
  const std::vector<CurvePoint>& curve = report.Find("joule")->curve;
  ASSERT_FALSE(curve.empty());
  EXPECT_EQ(curve.back().level, 0.8);
  EXPECT_DOUBLE_EQ(curve.back().joules.value, 10);
  for (size_t i = 1; i < curve.size(); ++i) {
    EXPECT_GE(curve[i].joules.value, curve[i - 1].joules.value);
  }
  // With one run that gets no further, neither does the mean.
  input_.settings[1].runs[0].result.rounds.resize(5);
  const ComparisonReport less = MakeReport(matrix_, input_);
  EXPECT_LE(less.Find("joule")->curve.back().level, 0.5);
  EXPECT_EQ(less.Find("oort")->curve.back().level, 0.8);
}

TEST_F(ReportTest, AClaimHoldsOrFailsByItsLimit) {
  EXPECT_EQ(Judge("against = \"uniform\"\nchange_at_most = -0.5\n").verdict, ClaimVerdict::kHolds);
  EXPECT_EQ(Judge("against = \"uniform\"\nchange_at_most = -0.51\n").verdict, ClaimVerdict::kFails);
  EXPECT_EQ(Judge("against = \"uniform\"\nchange_at_least = -0.5\n").verdict, ClaimVerdict::kHolds);
  EXPECT_EQ(Judge("against = \"uniform\"\ndifference_at_most = -10\n").verdict,
            ClaimVerdict::kHolds);
  EXPECT_EQ(Judge("against = \"uniform\"\ndifference_at_least = -9\n").verdict,
            ClaimVerdict::kFails);
  EXPECT_EQ(Judge("measure = \"rounds\"\ndifference_at_most = 0\n").verdict, ClaimVerdict::kHolds);
}

TEST_F(ReportTest, WithoutAnOtherItIsTheBestOne) {
  const ClaimReport claim = Judge("change_at_most = -0.1\n");
  EXPECT_EQ(claim.claim.against, "oort");
  EXPECT_DOUBLE_EQ(claim.figure.value, 10.0 / 16 - 1);
  EXPECT_THAT(claim.Text(),
              HasSubstr("joules_to_target of joule less that of oort: at most -10 %"));
  // A setting that was cut off early is not the best.
  input_.settings[2] = RunsOf("oort", {1, -1, 1});
  EXPECT_EQ(Judge("change_at_most = -0.1\n").claim.against, "uniform");
}

TEST_F(ReportTest, TheIntervalMustExcludeZeroOnTheClaimedSide) {
  input_.settings[1] = RunsOf("joule", {1, 40, 1});
  const std::string claim = "against = \"uniform\"\nchange_at_most = -0.1\n";
  EXPECT_EQ(Judge(claim).verdict, ClaimVerdict::kHolds);
  EXPECT_EQ(Judge(claim + "interval_excludes_zero = true\n").verdict, ClaimVerdict::kFails);
}

TEST_F(ReportTest, CensoredRunsLeaveOpenWhatTheyCouldChange) {
  const std::string half = "against = \"uniform\"\nchange_at_most = -0.5\n";
  const std::string most = "against = \"uniform\"\nchange_at_most = -0.6\n";
  // Ours would have spent more: what fails already fails for sure.
  input_.settings[1] = RunsOf("joule", {5, -10, 15});
  EXPECT_EQ(Judge(half).verdict, ClaimVerdict::kOpen);
  EXPECT_EQ(Judge(most).verdict, ClaimVerdict::kFails);
  // The reference would have: what holds already holds for sure.
  input_.settings[1] = RunsOf("joule", {5, 10, 15});
  input_.settings[0] = RunsOf("uniform", {10, -20, 30});
  EXPECT_EQ(Judge(half).verdict, ClaimVerdict::kHolds);
  EXPECT_EQ(Judge(most).verdict, ClaimVerdict::kOpen);
  input_.settings[1] = RunsOf("joule", {5, -10, 15});
  EXPECT_EQ(Judge(half).verdict, ClaimVerdict::kOpen);
  EXPECT_EQ(Judge(most).verdict, ClaimVerdict::kOpen);
}

TEST_F(ReportTest, AnOpenClaimSaysUpToWhereItHolds) {
  // Half of uniform's 60 are 30: 5 and 15 leave 10 for the run that was cut off at 4.
  input_.settings[1] = RunsOf("joule", {5, -4, 15});
  const std::string half = "against = \"uniform\"\nchange_at_most = -0.5\n";
  const ClaimReport open = Judge(half);
  EXPECT_EQ(open.verdict, ClaimVerdict::kOpen);
  ASSERT_TRUE(open.tipping_point.has_value());
  EXPECT_EQ(open.tipping_point->runs, 1u);
  EXPECT_EQ(open.tipping_point->reached, 4);
  EXPECT_NEAR(open.tipping_point->at_most, 10, 0.02);
  // A resample of that seed alone shows an increase from its 20 on, which the interval must not.
  const ClaimReport strict =
      Judge("against = \"uniform\"\nchange_at_most = -0.01\ninterval_excludes_zero = true\n");
  ASSERT_TRUE(strict.tipping_point.has_value());
  EXPECT_NEAR(strict.tipping_point->at_most, 20, 0.04);
  EXPECT_FALSE(Judge("against = \"uniform\"\nchange_at_most = -0.7\n").tipping_point);
  input_.settings[1] = RunsOf("joule", {5, 10, 15});
  EXPECT_FALSE(Judge(half).tipping_point.has_value()) << "holds";
}

TEST_F(ReportTest, AClaimOnHalfOfTheRunsIsOpen) {
  input_.settings[1].runs.pop_back();
  const ClaimReport claim = Judge("against = \"uniform\"\nchange_at_most = -0.1\n");
  EXPECT_EQ(claim.verdict, ClaimVerdict::kOpen);
  EXPECT_EQ(claim.why, "2 of 3 pairs are there");
  input_.settings.pop_back();
  EXPECT_EQ(Judge("against = \"oort\"\nchange_at_most = -0.1\n").verdict, ClaimVerdict::kOpen);
}

TEST(ClaimTest, WhatCannotBeMeantIsRefused) {
  const auto refusal = [](const std::string& claim) {
    return std::string(
        ParseMatrix(absl::StrCat(kText, "[[claim]]\n", claim), "m.toml").status().message());
  };
  EXPECT_THAT(refusal("setting = \"joule\"\n"), HasSubstr("say one of change_at_most"));
  EXPECT_THAT(refusal("setting = \"joule\"\nchange_at_most = 0\ndifference_at_most = 0\n"),
              HasSubstr("say one of change_at_most"));
  EXPECT_THAT(refusal("setting = \"jole\"\nchange_at_most = 0\n"),
              HasSubstr("claim.setting: \"jole\": no such setting; did you mean \"joule\"?"));
  EXPECT_THAT(refusal("setting = \"joule\"\nagainst = \"all\"\nchange_at_most = 0\n"),
              HasSubstr("claim.against: \"all\": no such setting"));
}

}  // namespace
}  // namespace fedwatt
