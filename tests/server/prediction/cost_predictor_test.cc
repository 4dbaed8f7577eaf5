#include "server/prediction/cost_predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace fedwatt {
namespace {

constexpr double kFlops = 1e8;  // a unit: 0.01 s and 0.04 J on an assumed phone

CostHistory Reported(const std::string& device_class, std::vector<double> joules_per_unit,
                     double seconds_per_unit = 1) {
  CostHistory history;
  history.device_class = device_class;
  for (const double joules : joules_per_unit) {
    AddClaim({1, joules, 0, seconds_per_unit}, &history);
  }
  return history;
}

CostPredictor Learnt(const std::vector<CostHistory>& fleet) {
  std::vector<const CostHistory*> clients;
  for (const CostHistory& history : fleet) clients.push_back(&history);
  CostPredictor predictor(kFlops);
  predictor.Learn(clients);
  return predictor;
}

TEST(CostPredictorTest, WithoutAnyReportOnlyTheClassIsAssumed) {
  const CostPredictor predictor(kFlops);
  const CostPrediction phone = predictor.Predict("phone-2021", nullptr, 100);
  EXPECT_EQ(phone.basis, CostBasis::kDefault);
  EXPECT_NEAR(phone.joules, 4, 1e-9);
  EXPECT_NEAR(phone.seconds, 1, 1e-9);
  EXPECT_EQ(phone.joules_sigma, phone.joules) << "who knows";
  EXPECT_GT(predictor.Predict("", nullptr, 100).joules, 0) << "no class at all";
}

TEST(CostPredictorTest, ANewcomerIsLikeItsClass) {
  const CostPredictor predictor = Learnt({Reported("phone", {2}), Reported("phone", {3}),
                                          Reported("phone", {4}), Reported("server", {40})});
  const CostPrediction phone = predictor.Predict("phone", nullptr, 10);
  EXPECT_EQ(phone.basis, CostBasis::kDeviceClass);
  EXPECT_NEAR(phone.joules, 30, 1e-9);
  EXPECT_NEAR(phone.joules_sigma, 10 * 3 / std::sqrt(3), 1e-6);
  EXPECT_NEAR(predictor.Predict("server", nullptr, 10).joules, 400, 1e-9);
}

// Its class is unknown, but the fleet needs twice what was assumed of it.
TEST(CostPredictorTest, AClassWithoutReportsIsScaledByTheFleet) {
  const CostPredictor assumed(kFlops);
  const double phone = assumed.Predict("phone", nullptr, 1).joules;
  const CostPredictor predictor = Learnt({Reported("phone", {2 * phone})});
  const CostPrediction server = predictor.Predict("server", nullptr, 1);
  EXPECT_EQ(server.basis, CostBasis::kFleet);
  EXPECT_NEAR(server.joules, 2 * assumed.Predict("server", nullptr, 1).joules, 1e-6);
}

TEST(CostPredictorTest, OwnReportsOutweighTheClassAsTheyBecomeMore) {
  std::vector<CostHistory> fleet(9, Reported("phone", {2}));
  fleet.push_back(Reported("phone", {6}));
  const CostPredictor predictor = Learnt(fleet);
  EXPECT_NEAR(predictor.Predict("phone", &fleet.back(), 1).joules, 4, 1e-6);
  const CostHistory often = Reported("phone", {6, 6, 6, 6, 6, 6, 6});
  const CostPrediction own = predictor.Predict("phone", &often, 1);
  EXPECT_NEAR(own.joules, (2 + 7 * 6) / 8.0, 1e-6);
  EXPECT_EQ(own.basis, CostBasis::kOwnHistory);
  EXPECT_LT(own.joules_sigma, own.joules / 10);
}

TEST(CostPredictorTest, BusyAndLyingClientsCountOnce) {
  std::vector<CostHistory> fleet(5, Reported("phone", {2}));
  fleet.push_back(Reported("phone", {1e15, 1e15, 1e15, 1e15}));
  fleet.push_back(Reported("phone", {0, 0, 0, 0, 0, 0, 0}));
  const CostPredictor predictor = Learnt(fleet);
  EXPECT_NEAR(predictor.Predict("phone", nullptr, 1).joules, 2, 1e-6);
  EXPECT_LE(predictor.Predict("phone", &fleet[5], 1).joules, 16) << "8 times its class";
  EXPECT_GE(predictor.Predict("phone", &fleet[6], 1).joules, 0.25);
}

TEST(CostPredictorTest, TheOrderOfClientsDoesNotMatter) {
  const std::vector<CostHistory> fleet = {Reported("a", {1, 5}), Reported("b", {2}),
                                          Reported("a", {7}), Reported("b", {3, 9})};
  const std::vector<CostHistory> reversed(fleet.rbegin(), fleet.rend());
  for (const std::string name : {"a", "b", "c"}) {
    const CostPrediction one = Learnt(fleet).Predict(name, nullptr, 3);
    const CostPrediction other = Learnt(reversed).Predict(name, nullptr, 3);
    EXPECT_EQ(one.joules, other.joules);
    EXPECT_EQ(one.joules_sigma, other.joules_sigma);
    EXPECT_EQ(one.seconds, other.seconds);
  }
}

TEST(FloorTest, IsWellBelowTheUsualAndNeverZeroAndTheCeilingWellAbove) {
  const std::vector<CostHistory> fleet(100, Reported("phone", {2}));
  EXPECT_NEAR(Learnt(fleet).FloorJoules("phone", 10), 20 / 8.0, 1e-6);
  EXPECT_GT(CostPredictor(kFlops).FloorJoules("", 10), 0);
  EXPECT_NEAR(Learnt(fleet).CeilingJoules("phone", 10), 8 * 20, 1e-6);
}

TEST(FloorTest, TwoClientsDoNotSetTheBoundsByWhichTheyAreJudged) {
  const CostPredictor assumed(kFlops);
  const CostPredictor two = Learnt({Reported("phone", {1000}), Reported("phone", {1000})});
  EXPECT_EQ(two.FloorJoules("phone", 10), assumed.FloorJoules("phone", 10));
  EXPECT_EQ(two.CeilingJoules("phone", 10), 0) << "not known";
}

// Who all claim next to nothing cannot lower what the class is known to need at least.
TEST(FloorTest, OnlyRises) {
  const CostPredictor assumed(kFlops);
  const double usual = assumed.Predict("phone", nullptr, 1).joules;
  const CostPredictor low = Learnt(std::vector<CostHistory>(9, Reported("phone", {usual / 1e6})));
  EXPECT_EQ(low.FloorJoules("phone", 10), assumed.FloorJoules("phone", 10));
  const CostPredictor high = Learnt(std::vector<CostHistory>(9, Reported("phone", {usual * 1e6})));
  EXPECT_GT(high.FloorJoules("phone", 10), assumed.FloorJoules("phone", 10));
}

// Everybody claims nothing and is put on the floor; a client may also have done a quarter of the
// steps that are expected of it. Over many rounds the floor stays where it was.
TEST(FloorTest, DoesNotDriveItselfUp) {
  CostPredictor predictor(kFlops);
  const double first = predictor.FloorJoules("phone", 100);
  std::vector<CostHistory> fleet(9);
  std::vector<const CostHistory*> clients;
  for (const CostHistory& client : fleet) clients.push_back(&client);
  for (int round = 0; round < 50; ++round) {
    for (CostHistory& client : fleet) {
      client.device_class = "phone";
      AddClaim({25, predictor.FloorJoules("phone", 100), 0, 1}, &client);
    }
    predictor.Learn(clients);
  }
  EXPECT_NEAR(predictor.FloorJoules("phone", 100), first, 1e-6 * first);
}

// No phone has reported, six laptops have: they need ten times what was assumed of them.
TEST(FloorTest, AClassWithoutReportsIsBoundMoreLooselyByTheFleet) {
  const CostPredictor assumed(kFlops);
  const double laptop = assumed.Predict("laptop", nullptr, 1).joules;
  const double phone = assumed.Predict("phone", nullptr, 1).joules;
  const CostPredictor fleet =
      Learnt(std::vector<CostHistory>(6, Reported("laptop", {10 * laptop})));
  EXPECT_NEAR(fleet.FloorJoules("phone", 1), 10 * phone / 64, 1e-6);
  EXPECT_NEAR(fleet.CeilingJoules("phone", 1), 640 * phone, 1e-6);
}

}  // namespace
}  // namespace fedwatt
