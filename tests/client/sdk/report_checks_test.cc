#include "client/sdk/report_checks.h"

#include <cmath>
#include <string>

#include "common/base/bounds.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

TEST(MakeReportableTest, LeavesSoundMetricsAlone) {
  UpdateMetrics metrics;
  metrics.before = LossSums{10, 2.5, 1.0, 3, 10};
  metrics.named["auc"] = 0.9;
  metrics.seconds_by_phase["train"] = 1.5;
  MakeReportable(&metrics);
  EXPECT_TRUE(metrics.before.has_value());
  EXPECT_EQ(metrics.named.size(), 1);
  EXPECT_EQ(metrics.seconds_by_phase.size(), 1);
}

TEST(MakeReportableTest, DropsAndCountsWhatACoordinatorWouldRefuse) {
  UpdateMetrics metrics;
  metrics.before = LossSums{10, std::nan(""), 1.0, 3, 10};
  metrics.after = LossSums{10, 1.0, 1.0, 11, 10};  // more correct than predicted
  metrics.named["nan"] = std::nan("");
  metrics.named["bad\nname"] = 1;
  metrics.seconds_by_phase["train"] = -1;
  MakeReportable(&metrics);
  EXPECT_FALSE(metrics.before.has_value());
  EXPECT_FALSE(metrics.after.has_value());
  EXPECT_TRUE(metrics.seconds_by_phase.empty());
  ASSERT_EQ(metrics.named.size(), 1);
  EXPECT_EQ(metrics.named.at("dropped_metrics"), 5);
}

TEST(MakeReportableTest, KeepsWithinTheLimit) {
  UpdateMetrics metrics;
  for (int i = 0; i < 1000; ++i) metrics.named["m" + std::to_string(i)] = i;
  MakeReportable(&metrics);
  EXPECT_LE(metrics.named.size(), bounds::kMaxMetrics);
}

TEST(ReportedWeightTest, IsByThePlanAndWithinTheLimits) {
  Assignment assignment;
  EXPECT_EQ(ReportedWeight(assignment, 600), 600);
  EXPECT_EQ(ReportedWeight(assignment, uint64_t{1} << 60), bounds::kMaxWeight);
  assignment.max_weight = 50;
  EXPECT_EQ(ReportedWeight(assignment, 600), 50);
  assignment.plan.weight_by = WeightBy::kUniform;
  EXPECT_EQ(ReportedWeight(assignment, 600), 1);
  EXPECT_EQ(ReportedWeight(assignment, 0), 0);
}

Report FullReport() {
  Report report;
  report.weight = 600;
  report.metrics.examples = 600;
  report.metrics.steps = 20;
  report.metrics.bytes_up = 4000;
  report.metrics.before = report.metrics.after = LossSums{600, 300, 200, 1, 2};
  report.metrics.seconds_by_phase = {{"train", 2.5}};
  report.metrics.named = {{"f1", 0.5}};
  report.metrics.peak_memory_bytes = 1 << 20;
  for (const char* source : {"rapl", "nvml"}) {
    EnergySample sample;
    sample.source = source;
    sample.quality = EnergyQuality::kMeasured;
    sample.energy_uj = 42;
    sample.duration_us = 2'500'000;
    report.energy.push_back(sample);
  }
  return report;
}

TEST(DropTotalsTest, LeavesWhatTheWorkIs) {
  Report report = FullReport();
  DropTotals(AssignmentKind::kTrain, &report);
  EXPECT_EQ(report.weight, 600);
  EXPECT_EQ(report.metrics.examples, 600);
  EXPECT_EQ(report.metrics.steps, 20);
  EXPECT_EQ(report.metrics.bytes_up, 4000);
  EXPECT_FALSE(report.metrics.before || report.metrics.after);
  EXPECT_TRUE(report.metrics.seconds_by_phase.empty() && report.metrics.named.empty());
  EXPECT_EQ(report.metrics.peak_memory_bytes, 0);
}

TEST(DropTotalsTest, EnergyIsUnavailableNotZero) {
  Report report = FullReport();
  DropTotals(AssignmentKind::kTrain, &report);
  ASSERT_EQ(report.energy.size(), 1);
  EXPECT_EQ(report.energy[0].quality, EnergyQuality::kUnavailable);
  EXPECT_FALSE(report.energy[0].energy_uj.has_value());
  EXPECT_EQ(report.energy[0].duration_us, 0);
  EXPECT_EQ(report.energy[0].reason, "this device's user consents to no telemetry");
}

TEST(DropTotalsTest, AnEvaluationsResultsAreItsWork) {
  Report report = FullReport();
  DropTotals(AssignmentKind::kEvaluate, &report);
  EXPECT_TRUE(report.metrics.after.has_value());
  EXPECT_EQ(report.metrics.named.at("f1"), 0.5);
  EXPECT_TRUE(report.metrics.seconds_by_phase.empty());
}

}  // namespace
}  // namespace fedwatt
