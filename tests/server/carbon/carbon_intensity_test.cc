#include "server/carbon/carbon_intensity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace fedwatt {
namespace {

using testing::AllOf;
using testing::HasSubstr;

CarbonIntensity Grams(double g_per_kwh) {
  CarbonIntensity intensity;
  intensity.g_per_kwh = g_per_kwh;
  return intensity;
}

CarbonKind Marginal() {
  CarbonKind kind;
  kind.signal = CarbonSignal::kMarginal;
  return kind;
}

TEST(CarbonKind, EveryKindIsItsFourWords) {
  for (const auto signal : {CarbonSignal::kAverage, CarbonSignal::kMarginal}) {
    for (const auto boundary : {CarbonBoundary::kLifecycle, CarbonBoundary::kDirect}) {
      for (const auto gas : {CarbonGas::kCo2, CarbonGas::kCo2e}) {
        for (const auto accounting : {CarbonAccounting::kLocation, CarbonAccounting::kMarket}) {
          const CarbonKind kind{signal, boundary, gas, accounting};
          const auto parsed = ParseCarbonKind(CarbonKindText(kind));
          ASSERT_TRUE(parsed.ok()) << parsed.status();
          EXPECT_EQ(*parsed, kind);
        }
      }
    }
  }
}

TEST(CarbonKind, SaysWhichWordIsMissingDoubleOrUnknown) {
  EXPECT_THAT(std::string(ParseCarbonKind("lifecycle CO2e location").status().message()),
              HasSubstr("average or marginal"));
  EXPECT_THAT(std::string(ParseCarbonKind("average marginal CO2e location").status().message()),
              HasSubstr("twice"));
  EXPECT_THAT(std::string(ParseCarbonKind("avg lifecycle CO2e location").status().message()),
              HasSubstr("\"avg\""));
  EXPECT_FALSE(ParseCarbonKind("").ok());
}

TEST(CheckIntensity, BelievesWhatAGridCanHave) {
  for (const double grams : {11.0, 475.0, kMaxGramsPerKwh}) {
    EXPECT_TRUE(CheckIntensity(grams, CarbonKind{}).ok());
  }
  CarbonKind direct;
  direct.boundary = CarbonBoundary::kDirect;
  EXPECT_TRUE(CheckIntensity(0, direct).ok()) << "an hour of wind and water has no smoke";
}

TEST(CheckIntensity, RefusesWhatNoGridHas) {
  for (const double grams : {-1.0, std::nan(""), 1e9, std::numeric_limits<double>::infinity()}) {
    EXPECT_FALSE(CheckIntensity(grams, CarbonKind{}).ok()) << grams;
  }
  EXPECT_THAT(std::string(CheckIntensity(0, CarbonKind{}).message()), HasSubstr("missing figure"));
}

TEST(Emissions, AKilowattHourGivesItsGrams) {
  EXPECT_EQ(EmissionsOf(3'600'000'000'000, Grams(381)).micrograms, 381'000'000);
  EXPECT_EQ(EmissionsOf(1'000'000, Grams(475)).micrograms, 132) << "one joule";
  EXPECT_EQ(EmissionsOf(0, Grams(475)).micrograms, 0);
}

TEST(Emissions, ByAStaleFigureAreCountedAsSuch) {
  CarbonIntensity stale = Grams(360);
  stale.stale = true;
  const auto sum =
      AddEmissions(EmissionsOf(10'000'000, stale), EmissionsOf(10'000'000, Grams(360)));
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(sum->micrograms, 2000);
  EXPECT_EQ(sum->stale_micrograms, 1000);
}

TEST(Emissions, OfDifferentKindsAreNeverAdded) {
  Emissions average{CarbonKind{}, 5, 0};
  Emissions marginal{Marginal(), 5, 0};
  EXPECT_THAT(std::string(AddEmissions(average, marginal).status().message()),
              AllOf(HasSubstr("average lifecycle"), HasSubstr("marginal lifecycle")));
}

TEST(Emissions, Saturate) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(EmissionsOf(kMost, Grams(kMaxGramsPerKwh)).micrograms, 7'686'143'364'045'647);
  EXPECT_EQ(EmissionsOf(kMost, Grams(1e12)).micrograms, kMost);
  const auto sum = AddEmissions({CarbonKind{}, kMost, kMost}, {CarbonKind{}, 1, 1});
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(sum->micrograms, kMost);
  EXPECT_EQ(sum->stale_micrograms, kMost);
}

}  // namespace
}  // namespace fedwatt
