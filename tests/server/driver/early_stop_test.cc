#include "server/driver/early_stop.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace fedwatt {
namespace {

MetricSummary Accuracy(double value) {
  MetricSummary summary;
  summary.accuracy = value;
  return summary;
}

TEST(EarlyStop, NamesOfMetrics) {
  MetricSummary summary;
  summary.loss = 2;
  summary.accuracy = 0.25;
  summary.named["f1"] = 0.75;
  EXPECT_EQ(MetricValue(summary, "loss"), 2);
  EXPECT_EQ(MetricValue(summary, "accuracy"), 0.25);
  EXPECT_EQ(MetricValue(summary, "f1"), 0.75);
  EXPECT_EQ(MetricValue(summary, "auc"), std::nullopt);
}

TEST(EarlyStop, KeepsTheBestAndNeverStopsByDefault) {
  EarlyStop stop({});
  EXPECT_TRUE(stop.Add(Accuracy(0.5), 0));
  EXPECT_FALSE(stop.Add(Accuracy(0.5), 0));
  EXPECT_FALSE(stop.Add(Accuracy(0.4), 0));
  EXPECT_TRUE(stop.Add(Accuracy(0.6), 0));
  EXPECT_EQ(stop.best(), 0.6);
  EXPECT_EQ(stop.reason(), "");
}

TEST(EarlyStop, PatienceCountsEvaluationsWithoutMinDeltaOfProgress) {
  EarlyStop stop({.patience = 2, .min_delta = 0.1});
  stop.Add(Accuracy(0.5), 0);
  EXPECT_TRUE(stop.Add(Accuracy(0.55), 0)) << "the best, yet no progress";
  EXPECT_EQ(stop.reason(), "");
  stop.Add(Accuracy(0.58), 0);
  EXPECT_EQ(stop.reason(), "patience");
  EXPECT_EQ(stop.best(), 0.58);
}

TEST(EarlyStop, SlowProgressAddsUp) {
  EarlyStop stop({.patience = 2, .min_delta = 0.1});
  stop.Add(Accuracy(0.5), 0);
  stop.Add(Accuracy(0.58), 0);
  stop.Add(Accuracy(0.66), 0);
  EXPECT_EQ(stop.reason(), "") << "0.66 is more than 0.1 above 0.5";
}

TEST(EarlyStop, MissingAndNonFiniteValuesAreNeverProgress) {
  EarlyStop stop({.patience = 3, .target = 0.9});
  EXPECT_FALSE(stop.Add(Accuracy(std::nan("")), 0));
  EXPECT_FALSE(stop.Add(Accuracy(std::numeric_limits<double>::infinity()), 0));
  EXPECT_EQ(stop.best(), std::nullopt);
  EXPECT_EQ(stop.reason(), "");
  EXPECT_FALSE(stop.Add(MetricSummary{}, 0));
  EXPECT_EQ(stop.reason(), "patience");
}

TEST(EarlyStop, ModeMinTurnsEverythingRound) {
  EarlyStop stop({.metric = "loss", .mode = "min", .patience = 2, .target = 0.1});
  MetricSummary summary;
  for (const double loss : {1.0, 0.5, 0.6}) {
    summary.loss = loss;
    EXPECT_EQ(stop.Add(summary, 0), loss < 0.55 || loss == 1.0);
  }
  EXPECT_EQ(stop.reason(), "");
  EXPECT_EQ(stop.best(), 0.5);
  summary.loss = 0.1;
  stop.Add(summary, 0);
  EXPECT_EQ(stop.reason(), "target");
}

constexpr int64_t kKilojoule = 1'000'000'000;

JobSpec::Stop WorthIts(double gain_per_kj, uint32_t evaluations) {
  JobSpec::Stop stop;
  stop.min_gain_per_kj = gain_per_kj;
  stop.gain_evaluations = evaluations;
  return stop;
}

TEST(EarlyStop, StopsWhenAKilojouleGainsTooLittle) {
  EarlyStop stop(WorthIts(0.01, 2));
  stop.Add(Accuracy(0.50), 1 * kKilojoule);
  stop.Add(Accuracy(0.60), 2 * kKilojoule);
  stop.Add(Accuracy(0.61), 3 * kKilojoule);
  EXPECT_EQ(stop.reason(), "") << "0.11 for 2 kJ";
  stop.Add(Accuracy(0.615), 4 * kKilojoule);
  EXPECT_EQ(stop.reason(), "gain") << "0.015 for 2 kJ";
}

TEST(EarlyStop, AGainIsMeasuredByWhatItCost) {
  EarlyStop cheap(WorthIts(0.01, 1));
  EarlyStop dear(WorthIts(0.01, 1));
  cheap.Add(Accuracy(0.5), 0);
  dear.Add(Accuracy(0.5), 0);
  cheap.Add(Accuracy(0.501), kKilojoule / 100);
  dear.Add(Accuracy(0.501), kKilojoule);
  EXPECT_EQ(cheap.reason(), "");
  EXPECT_EQ(dear.reason(), "gain");
}

TEST(EarlyStop, ALossThatFallsGains) {
  JobSpec::Stop rule = WorthIts(0.1, 1);
  rule.metric = "loss";
  rule.mode = "min";
  EarlyStop stop(rule);
  MetricSummary summary;
  summary.loss = 2;
  stop.Add(summary, 0);
  summary.loss = 1.5;
  stop.Add(summary, kKilojoule);
  EXPECT_EQ(stop.reason(), "");
  stop.Add(summary, 2 * kKilojoule);
  EXPECT_EQ(stop.reason(), "gain");
}

TEST(EarlyStop, WithoutJoulesNothingIsSaidOfTheirWorth) {
  EarlyStop stop(WorthIts(0.01, 1));
  stop.Add(Accuracy(0.5), 0);
  stop.Add(Accuracy(0.5), 0);
  EXPECT_EQ(stop.reason(), "");
  stop.Add(MetricSummary{}, kKilojoule);
  EXPECT_EQ(stop.reason(), "") << "an evaluation without the metric is no point of the curve";
}

}  // namespace
}  // namespace fedwatt
