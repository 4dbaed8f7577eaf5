#include "server/cli/targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedwatt::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

v1::Job Spent(int64_t joules, int64_t grams) {
  v1::Job job;
  job.mutable_budget()->set_booked_uj(joules * 1'000'000);
  job.mutable_budget()->set_booked_ug(grams * 1'000'000);
  job.mutable_budget()->set_carbon("average lifecycle CO2e location");
  return job;
}

TEST(Targets, AJobWithoutAnyHasNoneToMiss) {
  EXPECT_THAT(TargetResults(Spent(5, 5)), IsEmpty());
  EXPECT_TRUE(AllPassed({}));
  EXPECT_EQ(TargetText({}), "");
}

TEST(Targets, JoulesAndGramsAreUpperLimits) {
  v1::Job job = Spent(100, 7);
  job.mutable_spec()->mutable_targets()->set_joules(100);
  job.mutable_spec()->mutable_targets()->set_gco2e(6);
  const auto results = TargetResults(job);
  ASSERT_THAT(results, SizeIs(2));
  EXPECT_TRUE(results[0].passed);
  EXPECT_FALSE(results[1].passed);
  EXPECT_FALSE(AllPassed(results));
  EXPECT_THAT(TargetText(results), HasSubstr("passed  targets.joules  at most 100 J: 100 J"));
  EXPECT_THAT(TargetText(results), HasSubstr("MISSED  targets.gco2e"));
}

TEST(Targets, SayHowMuchIsEstimated) {
  v1::Job job = Spent(100, 0);
  job.mutable_budget()->set_estimated_uj(25'000'000);
  job.mutable_spec()->mutable_targets()->set_joules(200);
  EXPECT_THAT(TargetText(TargetResults(job)), HasSubstr("25 % of them estimated"));
}

TEST(Targets, UnknownGramsDoNotPass) {
  v1::Job job = Spent(100, 0);
  job.mutable_spec()->mutable_targets()->set_gco2e(6);
  job.mutable_budget()->set_without_grams_uj(40'000'000);
  EXPECT_FALSE(TargetResults(job)[0].passed);
  EXPECT_THAT(TargetResults(job)[0].text, HasSubstr("40 % of the joules without grams"));
  job.mutable_budget()->set_without_grams_uj(0);
  job.mutable_budget()->clear_carbon();
  EXPECT_FALSE(TargetResults(job)[0].passed);
}

TEST(Targets, AMetricIsReachedFromItsSide) {
  v1::Job job;
  job.mutable_spec()->mutable_targets()->set_metric(0.8);
  job.mutable_spec()->mutable_stop()->set_metric("accuracy");
  EXPECT_FALSE(TargetResults(job)[0].passed) << "never evaluated";
  job.set_best_metric(0.8);
  EXPECT_TRUE(TargetResults(job)[0].passed);
  job.set_best_metric(0.79);
  EXPECT_FALSE(TargetResults(job)[0].passed);
  job.mutable_spec()->mutable_stop()->set_mode("min");
  EXPECT_TRUE(TargetResults(job)[0].passed);
}

}  // namespace
}  // namespace fedwatt::cli
