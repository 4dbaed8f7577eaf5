#include "server/prediction/cost_predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace fedwatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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

TEST(CheckClaimTest, AnHonestClaimPasses) {
  std::vector<CostHistory> fleet(9, Reported("phone", {2}));
  const CheckedClaim checked =
      Learnt(fleet).Check("phone", &fleet[0], {10, 25, 0, 12}, /*elapsed_s=*/15);
  EXPECT_EQ(checked.joules, 25);
  EXPECT_EQ(checked.seconds, 12);
  EXPECT_THAT(checked.flags, IsEmpty());
}

TEST(CheckClaimTest, WhatIsNoFigureIsDroppedAndFlagged) {
  for (const double bad :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const CheckedClaim checked =
        CostPredictor(kFlops).Check("phone", nullptr, {1, bad, 0, bad}, {});
    EXPECT_FALSE(checked.joules || checked.seconds);
    EXPECT_THAT(checked.flags, ElementsAre(HasSubstr("joules = "), HasSubstr("seconds = ")));
  }
}

TEST(CheckClaimTest, OutliersAreCappedAndSaid) {
  std::vector<CostHistory> fleet(9, Reported("phone", {2}));
  const CostPredictor predictor = Learnt(fleet);
  const CheckedClaim high = predictor.Check("phone", &fleet[0], {10, 1e15, 0, {}}, {});
  EXPECT_NEAR(*high.joules, 8 * 20, 1e-3);
  EXPECT_THAT(high.flags, ElementsAre(HasSubstr("joules = 1e+15: more than 8 times off the 20 J")));
  const CheckedClaim low = predictor.Check("phone", nullptr, {10, 0.001, 0, {}}, {});
  EXPECT_NEAR(*low.joules, 20 / 8.0, 1e-6);
  EXPECT_EQ(low.flags.size(), 1u);
}

TEST(CheckClaimTest, NoDeviceDrawsTenTimesItsClass) {
  const CheckedClaim checked =
      CostPredictor(kFlops).Check("phone", nullptr, {10'000, 5000, 0, 50}, /*elapsed_s=*/60);
  EXPECT_EQ(checked.joules, 2000) << "40 W for 50 s";
  EXPECT_THAT(checked.flags, ElementsAre(HasSubstr("which no phone draws")));
}

TEST(CheckClaimTest, NobodyWorksLongerThanItHadTheAssignment) {
  const CheckedClaim checked =
      CostPredictor(kFlops).Check("phone", nullptr, {10, {}, 0, 1e6}, /*elapsed_s=*/30);
  EXPECT_EQ(checked.seconds, 30);
  EXPECT_EQ(checked.flags.size(), 1u);
}

TEST(FloorTest, IsWellBelowTheUsualAndNeverZeroAndTheCeilingWellAbove) {
  std::vector<CostHistory> fleet(100, Reported("phone", {2}));
  EXPECT_NEAR(Learnt(fleet).FloorJoules("phone", 10), 20 - 2 * 2, 1e-6);
  EXPECT_NEAR(Learnt({fleet[0]}).FloorJoules("phone", 10), 20 / 8.0, 1e-6) << "one says little";
  EXPECT_GT(CostPredictor(kFlops).FloorJoules("", 10), 0);
  EXPECT_NEAR(Learnt(fleet).CeilingJoules("phone", 10), 8 * 20, 1e-6);
}

}  // namespace
}  // namespace fedwatt
