#include "server/prediction/claim_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "server/prediction/device_class.h"

namespace fedwatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Ten steps that cost a phone 2 to 160 J, given out 15 s ago.
constexpr ClaimLimits kLimits = {10, 2, 160, 15};

TEST(CheckClaimTest, AnHonestClaimPasses) {
  const CheckedClaim checked = CheckClaim(kLimits, {10, 25, 3, 12});
  EXPECT_EQ(checked.claim.units, 10);
  EXPECT_EQ(checked.claim.joules, 25);
  EXPECT_EQ(checked.claim.seconds, 12);
  EXPECT_THAT(checked.flags, IsEmpty());
}

TEST(CheckClaimTest, WhatIsNoFigureIsDroppedAndFlagged) {
  for (const double bad :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const CheckedClaim checked = CheckClaim(kLimits, {10, bad, 0, bad});
    EXPECT_FALSE(checked.claim.joules || checked.claim.seconds);
    EXPECT_THAT(checked.flags, ElementsAre(HasSubstr("joules = "), HasSubstr("seconds = ")));
  }
}

TEST(CheckClaimTest, NoFigureStaysNoFigure) {
  const CheckedClaim checked = CheckClaim(kLimits, {10, {}, 0, {}});
  EXPECT_FALSE(checked.claim.joules || checked.claim.seconds) << "not put on the floor either";
  EXPECT_THAT(checked.flags, IsEmpty());
}

TEST(CheckClaimTest, TooMuchAndTooLittleAreBoundedAndSaid) {
  const CheckedClaim high = CheckClaim(kLimits, {10, 1e15, 0, {}});
  EXPECT_EQ(high.claim.joules, 160);
  EXPECT_THAT(high.flags, ElementsAre(HasSubstr("joules = 1e+15: a device of its class needs 2 to "
                                                "160 J for this work; taken for 160")));
  const CheckedClaim low = CheckClaim(kLimits, {10, 0.001, 0, {}});
  EXPECT_EQ(low.claim.joules, 2);
  EXPECT_EQ(low.flags.size(), 1u);
}

TEST(CheckClaimTest, NobodyWorksLongerThanItHadTheAssignment) {
  const CheckedClaim checked = CheckClaim(kLimits, {10, {}, 0, 1e6});
  EXPECT_EQ(checked.claim.seconds, 15 + kClockSlackS);
  EXPECT_EQ(checked.flags.size(), 1u);
}

// A million steps at the usual joules would make a step look free, one alone would make it dear.
TEST(CheckClaimTest, OtherStepsThanWereGivenOutAreNotBelieved) {
  const CheckedClaim checked = CheckClaim(kLimits, {1e6, 25, 0, {}});
  EXPECT_EQ(checked.claim.units, 10 * kMostUnits);
  EXPECT_EQ(checked.flags.size(), 1u);
  EXPECT_EQ(CheckClaim(kLimits, {1, 25, 0, {}}).claim.units, 10 / kMostUnits);
  EXPECT_EQ(CheckClaim(kLimits, {4, 25, 0, {}}).claim.units, 4) << "fewer examples than expected";
}

TEST(CheckClaimTest, WithoutLimitsOnlyFiguresAreChecked) {
  const CheckedClaim checked = CheckClaim({}, {1e6, 1e15, 0, 1e9});
  EXPECT_EQ(checked.claim.joules, 1e15);
  EXPECT_THAT(checked.flags, IsEmpty());
}

TEST(PeakWattsTest, IsOfTheClassAndForUnknownOnesThatOfARack) {
  EXPECT_EQ(PeakWatts("phone-2021"), 10 * TraitsOf("phone").watts);
  EXPECT_GE(PeakWatts("quantum-annealer"), 10'000);
}

}  // namespace
}  // namespace fedwatt
