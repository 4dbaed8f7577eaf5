// What every Store keeps of rounds and clients: energy, evaluations, history; and how it forgets.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "tests/server/store/each_store.h"
#include "tests/server/store/records.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kDayMs = 24 * 3600 * 1000;

class StoreFigures : public EachStore {};
INSTANTIATE_TEST_SUITE_P(All, StoreFigures, EveryStore(), StoreName);

// ---- energy

TEST_P(StoreFigures, TotalsKeepSourceQualityAndScopeApartAndCountGaps) {
  EnergySample estimated = MakeSample(3, "cpu_time");
  estimated.quality = EnergyQuality::kEstimated;
  estimated.scope = EnergyScope::kProcess;
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}),
                     Accepted(Train(1), 0,
                              {MakeSample(10), MakeSample(4, "rapl", Phase::kUpload), estimated,
                               MakeSample(std::nullopt, "battery")}),
                     Committed(Train(1))})
                  .ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("battery/unavailable/package useful 0 wasted 0 of 1, 1 unavailable",
                          "cpu_time/estimated/process useful 3 wasted 0 of 1, 0 unavailable",
                          "rapl/measured/package useful 14 wasted 0 of 2, 0 unavailable"));
}

TEST_P(StoreFigures, AnAbsurdClaimIsBookedAsAGap) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}),
                     Accepted(Train(1), 0, {MakeSample(-5), MakeSample(int64_t{1} << 62, "hwmon")}),
                     Committed(Train(1))})
                  .ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("hwmon/unavailable/package useful 0 wasted 0 of 1, 1 unavailable",
                          "rapl/unavailable/package useful 0 wasted 0 of 1, 1 unavailable"));
}

TEST_P(StoreFigures, OneAssignmentCannotFillTheStore) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"})}).ok());
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<EnergySample> samples;
    for (size_t i = 0; i < bounds::kMaxEnergySamples; ++i) {
      samples.push_back(MakeSample(1, absl::StrCat("meter-", repeat, "-", i)));
    }
    ASSERT_TRUE(Write({Refused(Train(1), 0, "failed", samples)}).ok());
  }
  EXPECT_THAT(*store().EnergyTotals("job-1"), SizeIs(bounds::kMaxEnergySamples));
}

// ---- evaluations

TEST_P(StoreFigures, AnEvaluationIsMergedIntoTheRoundThatItEvaluates) {
  ASSERT_TRUE(Write({Committed(Train(1)), Committed(Train(2)), Committed(Evaluate(1))}).ok());
  const auto rounds = *store().LoadRounds("job-1");
  ASSERT_THAT(rounds, SizeIs(2));
  ASSERT_TRUE(rounds[0].evaluation.has_value());
  EXPECT_EQ(rounds[0].evaluation->accuracy, 0.875);
  EXPECT_EQ(rounds[0].key, Train(1));
  EXPECT_EQ(rounds[0].bytes_up, 2000u);
  ASSERT_THAT(rounds[0].energy, SizeIs(1));
  EXPECT_EQ(rounds[0].energy[0].useful_uj, 400);
  EXPECT_EQ(rounds[0].seconds_by_phase.at("train"), 8.0);
  EXPECT_FALSE(rounds[1].evaluation.has_value());
  EXPECT_THAT(*store().LoadModels("job-1"), SizeIs(2));
  EXPECT_EQ((*store().LastCommit("job-1"))->key, Train(2));
}

TEST_P(StoreFigures, EvaluationsInFlightOutliveATrainingCommit) {
  ASSERT_TRUE(Write({Committed(Train(1)), Began(Evaluate(1)), Assigned(Evaluate(1), {"eve"}),
                     Began(Train(2)), Assigned(Train(2), {"ann"}), Accepted(Train(2), 0),
                     Committed(Train(2))})
                  .ok());
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/e1/a1", "assigned job-1/e1/a1"));
  ASSERT_TRUE(Write({Accepted(Evaluate(1), 0), Committed(Evaluate(1)), Began(Evaluate(2))}).ok());
  EXPECT_THAT(LogOf("job-1"),
              ElementsAre("began job-1/e1/a1", "assigned job-1/e1/a1", "accepted job-1/e1/a1",
                          "committed job-1/e1/a1", "began job-1/e2/a1"));
  ASSERT_TRUE(Write({Committed(Train(3))}).ok());
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/e2/a1"));
}

TEST_P(StoreFigures, AnEvaluationBetweenAttemptsIsInFlightUntilItIsGivenUp) {
  ASSERT_TRUE(
      Write({Began(Evaluate(1, 1)), Abandoned(Evaluate(1, 1), "gone"), Committed(Train(2))}).ok());
  EXPECT_THAT(LogOf("job-1"), ElementsAre("began job-1/e1/a1", "abandoned job-1/e1/a1"));
  ASSERT_TRUE(Write({Began(Evaluate(1, 2)), Abandoned(Evaluate(1, 2), "gone", /*give_up=*/true),
                     Committed(Train(3))})
                  .ok());
  EXPECT_THAT(LogOf("job-1"), IsEmpty());
}

// ---- history

TEST_P(StoreFigures, HistoryCountsTrainingReports) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann", "bob"}), Accepted(Train(1), 0), Committed(Train(1)),
                     Assigned(Train(2), {"ann"}), Accepted(Train(2), 0),
                     Assigned(Evaluate(1), {"bob"}), Accepted(Evaluate(1), 0)})
                  .ok());
  const auto history = *store().LoadHistory("job-1");
  ASSERT_THAT(history, SizeIs(1)) << "bob has not trained";
  EXPECT_EQ(history[0].client, "ann");
  EXPECT_EQ(history[0].participations, 2u);
  EXPECT_EQ(history[0].last_round, 2u);
  ASSERT_TRUE(history[0].last_loss.has_value());
  EXPECT_EQ(history[0].last_loss->loss_sum, 120.5);
  EXPECT_EQ(history[0].last_seconds, 2.5);
}

TEST_P(StoreFigures, HistoryKeepsTheSketchOfTheLastUpdateThatHadOne) {
  UpdateSketch sketch(kSketchSize);
  for (size_t i = 0; i < kSketchSize; ++i) sketch[i] = 1.0f / static_cast<float>(i + 3);
  AppendLog first = Accepted(Train(1), 0);
  std::get<ReportAccepted>(first.record).sketch = sketch;
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}), first, Committed(Train(1)),
                     Assigned(Train(2), {"ann"}), Accepted(Train(2), 0)})
                  .ok());
  const auto history = *store().LoadHistory("job-1");
  ASSERT_THAT(history, SizeIs(1));
  EXPECT_EQ(history[0].sketch, sketch);
}

// What predictions are made of is there again after a restart, to the bit.
TEST_P(StoreFigures, HistoryKeepsWhatWorkCostPerStep) {
  AppendLog first = Accepted(Train(1), 0, {MakeSample(6'000'000)});
  AppendLog second = Accepted(Train(2), 0, {MakeSample(std::nullopt)});
  auto& with_class = std::get<ReportAccepted>(first.record);
  with_class.device_class = "phone";
  with_class.report.metrics.steps = 4;
  std::get<ReportAccepted>(second.record).report.metrics.steps = 5;
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}), first, Committed(Train(1)),
                     Assigned(Train(2), {"ann"}), second})
                  .ok());
  const auto history = *store().LoadHistory("job-1");
  ASSERT_THAT(history, SizeIs(1));
  const CostHistory& cost = history[0].cost;
  EXPECT_EQ(cost.device_class, "phone") << "not forgotten by a report that does not know";
  EXPECT_EQ(cost.units, 5);
  // 6 J of a package over three quarters of the window, by the factor of a phone, in 4 steps.
  const double factor = FactorToDevice("phone", EnergyScope::kPackage).factor;
  EXPECT_THAT(cost.joules.values(), ElementsAre(static_cast<float>(8 * factor / 4)));
  EXPECT_THAT(cost.seconds.values(), ElementsAre(2.5f / 4, 2.5f / 5));
}

// ---- forgetting and retention

TEST_P(StoreFigures, AForgottenClientIsGoneAndItsWorkStays) {
  ASSERT_TRUE(
      Write({Assigned(Train(1), {"ann", "bob"}), Accepted(Train(1), 0), Accepted(Train(1), 1),
             Committed(Train(1)), Assigned(Train(2), {"bob", "ann"})})
          .ok());
  ASSERT_TRUE(store().ForgetClient("default", "default", "ann").ok());
  EXPECT_EQ((*store().FindAssignment("job-1/r1/a1/0"))->client, "");
  EXPECT_EQ((*store().FindAssignment("job-1/r1/a1/0"))->state, AssignmentState::kCommitted);
  EXPECT_EQ((*store().FindAssignment("job-1/r1/a1/1"))->client, "bob");
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 200 wasted 0 of 2, 0 unavailable"));
  ASSERT_THAT(*store().LoadHistory("job-1"), SizeIs(1));
  const auto log = *store().LoadLog("job-1");
  ASSERT_THAT(log, SizeIs(1));
  EXPECT_THAT(std::get<ClientsAssigned>(log[0]).clients, ElementsAre("bob", ""));
  ASSERT_TRUE(Write({Accepted(Train(2), 1)}).ok());
  EXPECT_THAT(*store().LoadHistory("job-1"), SizeIs(1)) << "what comes later names nobody";
}

TEST_P(StoreFigures, ForgetsInOnePopulationOnly) {
  JobRecord other = MakeJob("other-1");
  other.spec.population = "watches";
  ASSERT_TRUE(
      Write({PutJob{other}, Assigned(Train(1), {"ann"}), Assigned(Train(1, 1, "other-1"), {"ann"})})
          .ok());
  ASSERT_TRUE(store().ForgetClient("default", "watches", "ann").ok());
  EXPECT_EQ((*store().FindAssignment("job-1/r1/a1/0"))->client, "ann");
  EXPECT_EQ((*store().FindAssignment("other-1/r1/a1/0"))->client, "");
}

TEST_P(StoreFigures, PruningKeepsTotalsAndWorkInFlight) {
  ASSERT_TRUE(Write({Assigned(Train(1), {"ann"}), Accepted(Train(1), 0), Committed(Train(1)),
                     Assigned(Train(2), {"bob", "cat"}), Accepted(Train(2), 0)})
                  .ok());
  const RetentionDays days{.energy = 30, .assignments = 30, .history = 30};
  ASSERT_TRUE(harness_->Prune(days, kNowMs + 29 * kDayMs).ok());
  EXPECT_EQ(StateOf(Train(1), 0), "committed");
  EXPECT_THAT(*store().LoadHistory("job-1"), SizeIs(2));

  ASSERT_TRUE(harness_->Prune(days, kNowMs + 31 * kDayMs).ok());
  EXPECT_EQ(StateOf(Train(1), 0), "unknown");
  EXPECT_EQ(StateOf(Train(2), 0), "reported");
  EXPECT_EQ(StateOf(Train(2), 1), "assigned");
  EXPECT_THAT(*store().LoadHistory("job-1"), IsEmpty());
  EXPECT_THAT(*store().LoadRounds("job-1"), SizeIs(1));
  ASSERT_TRUE(Write({Committed(Train(2))}).ok());
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("rapl/measured/package useful 200 wasted 0 of 2, 0 unavailable"));
}

TEST_P(StoreFigures, ZeroDaysKeepForEver) {
  ASSERT_TRUE(
      Write({Assigned(Train(1), {"ann"}), Accepted(Train(1), 0), Committed(Train(1))}).ok());
  ASSERT_TRUE(
      harness_->Prune({.energy = 0, .assignments = 0, .history = 0}, kNowMs + 100'000 * kDayMs)
          .ok());
  EXPECT_EQ(StateOf(Train(1), 0), "committed");
  EXPECT_THAT(*store().LoadHistory("job-1"), SizeIs(1));
}

}  // namespace
}  // namespace fedwatt
