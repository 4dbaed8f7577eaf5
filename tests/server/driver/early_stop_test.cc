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
  EXPECT_TRUE(stop.Add(Accuracy(0.5)));
  EXPECT_FALSE(stop.Add(Accuracy(0.5)));
  EXPECT_FALSE(stop.Add(Accuracy(0.4)));
  EXPECT_TRUE(stop.Add(Accuracy(0.6)));
  EXPECT_EQ(stop.best(), 0.6);
  EXPECT_EQ(stop.reason(), "");
}

TEST(EarlyStop, PatienceCountsEvaluationsWithoutMinDeltaOfProgress) {
  EarlyStop stop({.patience = 2, .min_delta = 0.1});
  stop.Add(Accuracy(0.5));
  EXPECT_TRUE(stop.Add(Accuracy(0.55))) << "the best, yet no progress";
  EXPECT_EQ(stop.reason(), "");
  stop.Add(Accuracy(0.58));
  EXPECT_EQ(stop.reason(), "patience");
  EXPECT_EQ(stop.best(), 0.58);
}

TEST(EarlyStop, SlowProgressAddsUp) {
  EarlyStop stop({.patience = 2, .min_delta = 0.1});
  stop.Add(Accuracy(0.5));
  stop.Add(Accuracy(0.58));
  stop.Add(Accuracy(0.66));
  EXPECT_EQ(stop.reason(), "") << "0.66 is more than 0.1 above 0.5";
}

TEST(EarlyStop, MissingAndNonFiniteValuesAreNeverProgress) {
  EarlyStop stop({.patience = 3, .target = 0.9});
  EXPECT_FALSE(stop.Add(Accuracy(std::nan(""))));
  EXPECT_FALSE(stop.Add(Accuracy(std::numeric_limits<double>::infinity())));
  EXPECT_EQ(stop.best(), std::nullopt);
  EXPECT_EQ(stop.reason(), "");
  EXPECT_FALSE(stop.Add(MetricSummary{}));
  EXPECT_EQ(stop.reason(), "patience");
}

TEST(EarlyStop, ModeMinTurnsEverythingRound) {
  EarlyStop stop({.metric = "loss", .mode = "min", .patience = 2, .target = 0.1});
  MetricSummary summary;
  for (const double loss : {1.0, 0.5, 0.6}) {
    summary.loss = loss;
    EXPECT_EQ(stop.Add(summary), loss < 0.55 || loss == 1.0);
  }
  EXPECT_EQ(stop.reason(), "");
  EXPECT_EQ(stop.best(), 0.5);
  summary.loss = 0.1;
  stop.Add(summary);
  EXPECT_EQ(stop.reason(), "target");
}

}  // namespace
}  // namespace fedwatt
