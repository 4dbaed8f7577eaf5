#include "simulation/measures.h"

#include <gmock/gmock.h>

// What a run came to, from points that are written down here.
namespace fedwatt {
namespace {

using ::testing::ElementsAre;

JobSpec EvaluatedJob() {
  JobSpec job;
  job.evaluation.every = 1;
  return job;
}

// A round that took 10 s and 4 J, and its evaluation a second later.
void AddRound(uint64_t round, std::optional<double> accuracy, SimulationResult* result) {
  SimulationPoint point;
  point.round.key.round = round;
  point.committed = true;
  point.at_ms = static_cast<int64_t>(round) * 10'000;
  point.tally.spent_uj = static_cast<int64_t>(round) * 4'000'000;
  point.round.bytes_up = 100;
  point.round.bytes_down = 300;
  point.round.assigned = 5;
  point.round.booked_ug = static_cast<int64_t>(round) * 500'000;
  result->points.push_back(point);
  point.round.key.evaluation = true;
  point.at_ms += 1000;
  point.round.evaluation.emplace().accuracy = accuracy;
  result->points.push_back(point);
  result->virtual_ms = point.at_ms;
  result->tally = point.tally;
}

SimulationResult RunOf(const std::vector<double>& accuracies) {
  SimulationResult result;
  for (size_t i = 0; i < accuracies.size(); ++i) AddRound(i + 1, accuracies[i], &result);
  return result;
}

const Measure* Find(const std::vector<Measure>& measures, const std::string& name) {
  for (const Measure& measure : measures) {
    if (measure.name == name) return &measure;
  }
  return nullptr;
}

double Value(const std::vector<Measure>& measures, const std::string& name) {
  const Measure* const measure = Find(measures, name);
  EXPECT_TRUE(measure != nullptr && measure->value.has_value()) << name;
  return measure == nullptr ? -1 : measure->value.value_or(-1);
}

TEST(MeasuresTest, TheTargetIsReachedByTheMeanAndNotByAJump) {
  // Means over two: 0.5, 0.7, 0.65, 0.75.
  const SimulationResult result = RunOf({0.5, 0.5, 0.9, 0.4, 0.8, 0.9});
  const auto measures =
      MeasuresOf(EvaluatedJob(), WindowTarget{.value = 0.75, .window = 2}, result);
  EXPECT_EQ(Value(measures, "reached"), 1);
  EXPECT_EQ(Value(measures, "rounds_to_target"), 6);
  EXPECT_EQ(Value(measures, "joules_to_target"), 24);
  EXPECT_EQ(Value(measures, "seconds_to_target"), 61);
  EXPECT_EQ(Value(measures, "bytes_up_to_target"), 600);
  EXPECT_EQ(Value(measures, "bytes_down_to_target"), 1800);
  EXPECT_EQ(Find(measures, "joules_to_target")->unit, "J");
  EXPECT_EQ(Value(measures, "best_accuracy"), 0.9);
  EXPECT_NEAR(Value(measures, "final_accuracy"), 0.85, 1e-12);
}

TEST(MeasuresTest, WhatComesAfterTheTargetDoesNotCount) {
  const SimulationResult result = RunOf({0.8, 0.8, 0.1, 0.1});
  const auto measures = MeasuresOf(EvaluatedJob(), WindowTarget{.value = 0.8, .window = 2}, result);
  EXPECT_EQ(Value(measures, "joules_to_target"), 8);
  EXPECT_EQ(Value(measures, "joules_total"), 16);
  EXPECT_EQ(Value(measures, "participations"), 20);
}

TEST(MeasuresTest, ARunThatMissesTheTargetSaysWhatItSpentAtLeast) {
  const SimulationResult result = RunOf({0.5, 0.6});
  const auto measures = MeasuresOf(EvaluatedJob(), WindowTarget{.value = 0.9, .window = 2}, result);
  EXPECT_EQ(Value(measures, "reached"), 0);
  const Measure* const joules = Find(measures, "joules_to_target");
  ASSERT_NE(joules, nullptr);
  EXPECT_FALSE(joules->value.has_value());
  EXPECT_EQ(joules->at_least, 8);
  EXPECT_EQ(Find(measures, "rounds_to_target")->at_least, 2);
}

TEST(MeasuresTest, WithoutATargetNoneIsMissed) {
  const auto measures = MeasuresOf(EvaluatedJob(), std::nullopt, RunOf({0.5, 0.6}));
  EXPECT_EQ(Find(measures, "reached"), nullptr);
  EXPECT_EQ(Find(measures, "joules_to_target"), nullptr);
  EXPECT_EQ(Value(measures, "rounds"), 2);
}

TEST(MeasuresTest, GramsThatNobodyKnowsAreAbsentAndNotZero) {
  const WindowTarget target{.value = 0.5, .window = 1};
  SimulationResult result = RunOf({0.5});
  EXPECT_EQ(Find(MeasuresOf(EvaluatedJob(), target, result), "grams_to_target"), nullptr);
  result.job.budget.carbon = "average, lifecycle, CO2e, location";
  EXPECT_EQ(Value(MeasuresOf(EvaluatedJob(), target, result), "grams_to_target"), 0.5);
}

TEST(MeasuresTest, AnAbandonedAttemptCostsAndIsNoRound) {
  SimulationResult result = RunOf({0.5});
  SimulationPoint lost = result.points[0];
  lost.committed = false;
  lost.tally.spent_uj = 3'000'000;
  result.points.insert(result.points.begin(), lost);
  const auto measures = MeasuresOf(EvaluatedJob(), WindowTarget{.value = 0.5, .window = 1}, result);
  EXPECT_EQ(Value(measures, "rounds_to_target"), 1);
  EXPECT_EQ(Value(measures, "bytes_up_to_target"), 200);
  EXPECT_EQ(Value(measures, "participations"), 10);
}

TEST(MeasuresTest, DropoutsAreAShareOfParticipations) {
  SimulationResult result = RunOf({0.5, 0.5});
  result.tally.empty_batteries = 7;
  result.tally.emptied_at_work = 1;
  result.tally.dropouts = 1;
  const auto measures = MeasuresOf(EvaluatedJob(), std::nullopt, result);
  EXPECT_EQ(Value(measures, "empty_batteries"), 7);
  EXPECT_DOUBLE_EQ(Value(measures, "dropout_share"), 0.2);
}

TEST(MeasuresTest, TheSeriesHasARowForEachEvaluation) {
  SimulationResult result = RunOf({0.5, 0.6});
  AddRound(3, std::nullopt, &result);
  std::vector<double> metrics;
  for (const MeasuredRound& row : MeasuredRoundsOf(EvaluatedJob(), result)) {
    EXPECT_EQ(row.joules, static_cast<double>(row.round) * 4);
    EXPECT_EQ(row.seconds, static_cast<double>(row.round) * 10 + 1);
    metrics.push_back(row.metric);
  }
  EXPECT_THAT(metrics, ElementsAre(0.5, 0.6));
}

TEST(WindowTargetTest, LessIsReachedFromAbove) {
  JobSpec job = EvaluatedJob();
  job.stop.metric = "loss";
  job.stop.mode = "min";
  TargetWatch watch(job, {.value = 0.5, .window = 2});
  SimulationPoint point;
  point.committed = true;
  point.round.key.evaluation = true;
  for (const auto& [loss, reached] :
       {std::pair(0.4, false), std::pair(0.8, false), std::pair(0.2, true), std::pair(9.0, true)}) {
    point.round.evaluation.emplace().loss = loss;
    EXPECT_EQ(watch.Add(point), reached) << loss;
  }
}

TEST(WindowTargetTest, WithoutEvaluationsItIsWhatClientsFindOnTheirOwnData) {
  JobSpec job;
  SimulationPoint point;
  point.committed = true;
  point.round.train_after.accuracy = 0.7;
  EXPECT_EQ(MetricOfPoint(job, point), 0.7);
  point.committed = false;
  EXPECT_EQ(MetricOfPoint(job, point), std::nullopt);
  EXPECT_EQ(MetricOfPoint(EvaluatedJob(), point), std::nullopt);
}

}  // namespace
}  // namespace fedwatt
