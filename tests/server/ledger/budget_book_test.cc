#include "server/ledger/budget_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kJoule = 1'000'000;
constexpr int64_t kDayMs = 86'400'000;
// No clock says then that a claim cannot be.
constexpr int64_t kLater = int64_t{1000} * 86'400'000;

// 10 J and twice 1 J of doubt; the class spends 4 to 40 J.
Reservation Assignment(int number, uint64_t round = 1, const std::string& client = "") {
  Reservation reservation;
  reservation.assignment = absl::StrCat("job/r", round, "/a1/", number);
  reservation.client = client.empty() ? absl::StrCat("client-", number) : client;
  reservation.round = round;
  reservation.forecast = {10 * kJoule, kJoule, 4 * kJoule, 40 * kJoule, false};
  return reservation;
}

Reservation At(Reservation reservation, int64_t at_ms) {
  reservation.at_ms = at_ms;
  return reservation;
}

Reservation With(Reservation reservation, double g_per_kwh, CarbonSignal signal) {
  reservation.carbon = CarbonIntensity{.g_per_kwh = g_per_kwh, .kind = {.signal = signal}};
  return reservation;
}

EnergyClaim Claim(int64_t joules) { return {joules * kJoule, true}; }

BudgetLimits Joules(int64_t job, int64_t round = 0, int64_t client = 0, int64_t day = 0) {
  BudgetLimits limits;
  limits.uj = {job * kJoule, round * kJoule, client * kJoule, day * kJoule};
  return limits;
}

EnergySample Sample(const std::string& source, Phase phase, std::optional<int64_t> joules) {
  EnergySample sample;
  sample.source = source;
  sample.phase = phase;
  sample.quality = joules ? EnergyQuality::kMeasured : EnergyQuality::kUnavailable;
  sample.scope = EnergyScope::kDevice;
  sample.coverage = 1;
  if (joules) sample.energy_uj = *joules * kJoule;
  return sample;
}

Report Metered(std::vector<EnergySample> samples) {
  Report report;
  report.metrics.examples = 10;
  report.metrics.steps = 1;
  report.energy = std::move(samples);
  return report;
}

TEST(ClaimOf, CountsAPhaseOnceAndAddsPhases) {
  const EnergyClaim claim =
      ClaimOf(Metered({Sample("battery", Phase::kTrain, 9), Sample("other", Phase::kTrain, 7),
                       Sample("battery", Phase::kUpload, 2)}),
              "phone");
  EXPECT_TRUE(claim.complete);
  EXPECT_NEAR(static_cast<double>(claim.uj), 11e6, 1e4) << "two meters of one phase";
}

TEST(ClaimOf, IsIncompleteWhereTrainingWasNotMetered) {
  EXPECT_FALSE(ClaimOf(Metered({}), "phone").complete);
  EXPECT_FALSE(ClaimOf(Metered({Sample("battery", Phase::kTrain, std::nullopt),
                                Sample("battery", Phase::kUpload, 2)}),
                       "phone")
                   .complete);
}

TEST(ClaimOf, DoesNotBelieveWhatCannotBe) {
  EXPECT_FALSE(ClaimOf(Metered({Sample("battery", Phase::kTrain, -5)}), "phone").complete);
  EXPECT_FALSE(
      ClaimOf(Metered({Sample("battery", Phase::kTrain, 2'000'000'000)}), "phone").complete)
      << "above 10^9 J";
}

TEST(SettledBy, BooksTheLargerOfClaimAndFloorUpToTheCeiling) {
  const EnergyForecast forecast = Assignment(0).forecast;
  EXPECT_EQ(SettledBy(forecast, Claim(11)), (BookedEnergy{11 * kJoule, BookedBy::kClaim}));
  EXPECT_EQ(SettledBy(forecast, Claim(39)), (BookedEnergy{39 * kJoule, BookedBy::kClaim}))
      << "more than was reserved, and booked all the same";
  EXPECT_EQ(SettledBy(forecast, Claim(0)), (BookedEnergy{4 * kJoule, BookedBy::kFloor}));
  EXPECT_EQ(SettledBy(forecast, Claim(1'000'000)), (BookedEnergy{40 * kJoule, BookedBy::kCeiling}));
}

TEST(SettledBy, BooksThePriorForAClientWithoutAMeter) {
  const EnergyForecast forecast = Assignment(0).forecast;
  EXPECT_EQ(SettledBy(forecast, {0, false}), (BookedEnergy{10 * kJoule, BookedBy::kPrior}));
  EXPECT_EQ(SettledBy(forecast, {13 * kJoule, false}),
            (BookedEnergy{13 * kJoule, BookedBy::kPrior}))
      << "what one phase alone claims is the least it was";
  EXPECT_EQ(SettledBy({kJoule, 0, 4 * kJoule, 0, true, ""}, {}),
            (BookedEnergy{4 * kJoule, BookedBy::kPrior}))
      << "not below the class, and still an estimate";
}

TEST(Reservation, IsTheMeanAndTwoSigmaWithinWhatTheClassCanSpend) {
  Reservation reservation = Assignment(0);
  EXPECT_EQ(reservation.reserved_uj(), 12 * kJoule);
  reservation.forecast.sigma_uj = 100 * kJoule;
  EXPECT_EQ(reservation.reserved_uj(), 40 * kJoule);
  reservation.forecast = {kJoule, 0, 4 * kJoule, 0, true};
  EXPECT_EQ(reservation.reserved_uj(), 4 * kJoule);
  reservation.forecast.sigma_uj = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(reservation.reserved_uj(), std::numeric_limits<int64_t>::max());
}

TEST(BudgetBook, ReservesUntilTheLimitAndNamesIt) {
  BudgetBook book(Joules(30));
  EXPECT_FALSE(book.Reserve(Assignment(0)));
  EXPECT_FALSE(book.Reserve(Assignment(1)));
  const auto refusal = book.Reserve(Assignment(2));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->scope, BudgetScope::kJob);
  EXPECT_EQ(refusal->reason,
            "budget.joules = 30 J: 0 J are booked, 24 J reserved, 12 J wanted for the next "
            "assignment");
  EXPECT_THAT(book.Open(), ElementsAre("job/r1/a1/0", "job/r1/a1/1"));
}

TEST(BudgetBook, ALimitIsReachedNotPassed) {
  BudgetBook book(Joules(24));
  EXPECT_FALSE(book.Reserve(Assignment(0)));
  EXPECT_FALSE(book.Reserve(Assignment(1))) << "24 of 24";
  EXPECT_TRUE(book.Reserve(Assignment(2)));
}

TEST(BudgetBook, AReportGivesBackWhatItDidNotNeed) {
  BudgetBook book(Joules(30));
  book.Reserve(Assignment(0));
  book.Reserve(Assignment(1));
  book.Settle("job/r1/a1/0", Claim(5), kLater);
  EXPECT_EQ(book.job().booked_uj, 5 * kJoule);
  EXPECT_EQ(book.job().reserved_uj, 12 * kJoule);
  EXPECT_FALSE(book.Reserve(Assignment(2))) << "5 + 12 + 12 of 30";
}

TEST(BudgetBook, SilenceBooksTheReservationAsEstimated) {
  BudgetBook book(Joules(100));
  book.Reserve(Assignment(0));
  book.Silence("job/r1/a1/0");
  EXPECT_EQ(book.job().booked_uj, 12 * kJoule);
  EXPECT_EQ(book.job().reserved_uj, 0);
  EXPECT_EQ(book.estimated_uj(), 12 * kJoule);
}

TEST(BudgetBook, ALateReportTakesThePlaceOfTheEstimate) {
  BudgetBook book(Joules(100));
  book.Reserve(Assignment(0));
  book.Silence("job/r1/a1/0");
  book.Settle("job/r1/a1/0", Claim(7), kLater);
  EXPECT_EQ(book.job().booked_uj, 7 * kJoule);
  EXPECT_EQ(book.estimated_uj(), 0);
  book.Silence("job/r1/a1/0");
  book.Settle("job/r1/a1/0", Claim(9), kLater);
  EXPECT_EQ(book.job().booked_uj, 7 * kJoule) << "the first report stands";
}

TEST(BudgetBook, TheSameAssignmentCountsOnce) {
  BudgetBook book(Joules(100));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(book.Reserve(Assignment(0)));
  EXPECT_EQ(book.job().reserved_uj, 12 * kJoule);
  for (int i = 0; i < 3; ++i) book.Settle("job/r1/a1/0", Claim(6), kLater);
  EXPECT_EQ(book.job().booked_uj, 6 * kJoule);
  EXPECT_EQ(book.job().reserved_uj, 0);
}

TEST(BudgetBook, WhatWasNeverHandedOutCostsNothing) {
  BudgetBook book(Joules(100));
  book.Reserve(Assignment(0));
  book.Release("job/r1/a1/0");
  EXPECT_EQ(book.job(), BudgetSums{});
  EXPECT_THAT(book.Open(), IsEmpty());
  book.Settle("job/r1/a1/0", Claim(6), kLater);
  book.Settle("job/r9/a9/9", Claim(6), kLater);
  book.Silence("nonsense");
  EXPECT_EQ(book.job(), BudgetSums{}) << "nobody is asked about strangers";
}

TEST(BudgetBook, BindsRoundsClientsAndDaysEachAlone) {
  BudgetBook book(Joules(0, 25, 30, 40));
  EXPECT_FALSE(book.Reserve(At(Assignment(0, 1, "a"), 0)));
  EXPECT_FALSE(book.Reserve(At(Assignment(1, 1, "b"), 0)));
  EXPECT_EQ(book.WhyNot(At(Assignment(2, 1, "c"), 0))->scope, BudgetScope::kRound);
  EXPECT_FALSE(book.Reserve(At(Assignment(0, 2, "a"), kDayMs - 1)));
  EXPECT_EQ(book.WhyNot(At(Assignment(1, 2, "b"), kDayMs - 1))->scope, BudgetScope::kDay);
  EXPECT_FALSE(book.WhyNot(At(Assignment(1, 2, "b"), kDayMs))) << "a new day";
  EXPECT_EQ(book.WhyNot(At(Assignment(1, 2, "a"), kDayMs))->scope, BudgetScope::kClient);
  EXPECT_EQ(book.OfClient("a").reserved_uj, 24 * kJoule);
  EXPECT_EQ(book.OfRound(1).reserved_uj, 24 * kJoule);
  EXPECT_EQ(book.OfDay(0).reserved_uj, 36 * kJoule);
}

TEST(BudgetBook, MoneyBuysJoules) {
  BudgetLimits limits;
  limits.price_per_kwh = 0.36;  // 1e-7 for a joule
  limits.money = 2.5e-6;        // 25 J
  BudgetBook book(limits);
  EXPECT_FALSE(book.Reserve(Assignment(0)));
  EXPECT_FALSE(book.Reserve(Assignment(1)));
  EXPECT_THAT(book.Reserve(Assignment(2))->reason, HasSubstr("money"));
  book.Settle("job/r1/a1/0", Claim(10), kLater);
  EXPECT_DOUBLE_EQ(book.MoneySpent(), 1e-6);
}

TEST(BudgetBook, GramsFollowTheFigureAtTheTimeOfTheAssignment) {
  BudgetLimits limits;
  limits.micrograms.job = 5'000;
  BudgetBook book(limits);
  EXPECT_FALSE(book.Reserve(With(Assignment(0), 360, CarbonSignal::kAverage)));
  EXPECT_EQ(book.job().reserved_ug, 1200) << "12 J at 360 g/kWh";
  EXPECT_FALSE(book.Reserve(With(Assignment(1), 720, CarbonSignal::kAverage)));
  const auto refusal = book.Reserve(With(Assignment(2), 720, CarbonSignal::kAverage));
  ASSERT_TRUE(refusal);
  EXPECT_THAT(refusal->reason, HasSubstr("budget.gco2e = 0.005 g"));
  book.Settle("job/r1/a1/1", Claim(10), kLater);
  EXPECT_EQ(book.job().booked_ug, 2000);
}

TEST(BudgetBook, NeverCountsMarginalGramsAgainstALimitOfAverageOnes) {
  BudgetLimits limits;
  limits.micrograms.job = 1'000'000;
  BudgetBook book(limits);
  EXPECT_THAT(book.Reserve(Assignment(0))->reason, HasSubstr("no carbon figure"));
  EXPECT_FALSE(book.Reserve(With(Assignment(1), 360, CarbonSignal::kAverage)));
  EXPECT_THAT(book.Reserve(With(Assignment(2), 360, CarbonSignal::kMarginal))->reason,
              HasSubstr("now gives marginal"));
}

TEST(BudgetBook, WithoutALimitOnGramsTheyAreCountedAsFarAsTheyAreOfOneKind) {
  BudgetBook book(Joules(100));
  book.Reserve(With(Assignment(0), 360, CarbonSignal::kAverage));
  EXPECT_FALSE(book.Reserve(With(Assignment(1), 360, CarbonSignal::kMarginal)));
  EXPECT_FALSE(book.Reserve(Assignment(2)));
  for (int i = 0; i < 3; ++i) book.Settle(Assignment(i).assignment, Claim(10), kLater);
  EXPECT_EQ(book.job().booked_ug, 1000);
  EXPECT_EQ(book.joules_without_grams_uj(), 20 * kJoule);
}

TEST(LimitMicro, NeverRoundsUp) {
  EXPECT_EQ(LimitMicro(500), 500 * kJoule);
  EXPECT_EQ(LimitMicro(0.0000019), 1);
  EXPECT_EQ(LimitMicro(1e300), std::numeric_limits<int64_t>::max());
}

// A phone draws 40 W at most. However wide the ceiling of a class that nobody knows yet, nobody
// spends more than that from the assignment on.
TEST(BudgetBook, NoClaimIsBookedBeyondWhatTheDeviceCanHaveDrawnSince) {
  BudgetBook book({});
  Reservation reservation = At(Assignment(0), kDayMs);
  reservation.forecast.ceiling_uj = 1'000'000 * kJoule;
  reservation.forecast.device_class = "phone";
  ASSERT_FALSE(book.Reserve(reservation));
  book.Settle("job/r1/a1/0", Claim(999'999), kDayMs + 40'000);
  EXPECT_EQ(book.job().booked_uj, 4000 * kJoule) << "40 W for 40 s and a minute of slack";
  EXPECT_EQ(book.capped(), 1u);
}

TEST(BudgetBook, WhatWasReservedCanBeBookedAndAClockThatWasSetBackSaysNothing) {
  Reservation reservation = At(Assignment(0), kDayMs);
  reservation.forecast = {9000 * kJoule, 500 * kJoule, 1, 1'000'000 * kJoule, false, "phone"};
  EXPECT_EQ(ForecastAt(reservation, kDayMs + 1).ceiling_uj, reservation.reserved_uj());
  EXPECT_EQ(ForecastAt(reservation, kDayMs - 1).ceiling_uj, 1'000'000 * kJoule);
  EXPECT_FALSE(LimitsOf(reservation, kDayMs - 1).elapsed_s);
  EXPECT_EQ(LimitsOf(reservation, kDayMs + 1500).elapsed_s, 1.5);
}

TEST(BudgetBook, ClaimsThatAreNotBelievedAreCounted) {
  BudgetBook book({});
  for (int i = 0; i < 4; ++i) ASSERT_FALSE(book.Reserve(Assignment(i)));
  book.Settle("job/r1/a1/0", Claim(1), kLater);
  book.Settle("job/r1/a1/1", Claim(1000), kLater);
  book.Settle("job/r1/a1/2", Claim(2), kLater);
  book.Settle("job/r1/a1/3", Claim(12), kLater);
  EXPECT_EQ(book.raised(), 2u);
  EXPECT_EQ(book.capped(), 1u);
  EXPECT_EQ(book.job().booked_uj, (4 + 40 + 4 + 12) * kJoule);
}

// A device that stops when it is unplugged has not spent what the whole work needs.
TEST(BudgetBook, WorkThatWasCutShortIsHeldToAnEighthOfTheFloor) {
  BudgetBook book({});
  for (int i = 0; i < 2; ++i) ASSERT_FALSE(book.Reserve(Assignment(i)));
  book.Settle("job/r1/a1/0", {kJoule, true, /*finished=*/false}, kLater);
  book.Settle("job/r1/a1/1", {1, true, /*finished=*/false}, kLater);
  EXPECT_EQ(book.job().booked_uj, kJoule + kJoule / 2);
  EXPECT_EQ(book.raised(), 1u);
}

}  // namespace
}  // namespace fedwatt
