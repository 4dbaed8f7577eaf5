// A fleet that under-reports, reports late, twice, out of order or never, against a budget: the
// book agrees with the reference at every step, no limit is passed, and a book rebuilt from what a
// store would remember is the same.

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "server/ledger/budget_book.h"
#include "tests/server/ledger/reference_budget.h"

namespace fedwatt {
namespace {

constexpr int64_t kJoule = 1'000'000;
// No clock says then that a claim cannot be.
constexpr int64_t kLater = int64_t{1000} * 86'400'000;

class BudgetWorld {
 public:
  explicit BudgetWorld(uint64_t seed)
      : rng_(RngKey{"budget", 0, "", "property", seed}),
        limits_(Limits()),
        book_(limits_),
        reference_(limits_) {}

  void Run() {
    for (int step = 0; step < 600 && !testing::Test::HasFailure(); ++step) {
      Step();
      Check();
      if (Below(40) == 0) CheckRebuilt();
    }
    CheckRebuilt();
  }

  int refused() const { return refused_; }
  int reserved() const { return next_; }

 private:
  uint64_t Below(uint64_t n) { return rng_.UniformInt(n); }

  int64_t Maybe(int64_t micro) { return Below(2) == 0 ? 0 : micro; }

  BudgetLimits Limits() {
    BudgetLimits limits;
    limits.uj = {Maybe(900 * kJoule), Maybe(60 * kJoule), Maybe(90 * kJoule), Maybe(300 * kJoule)};
    limits.micrograms = {Maybe(90'000), Maybe(6'000), Maybe(9'000), Maybe(30'000)};
    return limits;
  }

  Reservation Next() {
    Reservation r;
    round_ += Below(5) == 0 ? 1 : 0;
    now_ms_ += static_cast<int64_t>(Below(4'000'000));
    r.assignment = absl::StrCat("job/r", round_, "/a1/", next_);
    r.client = absl::StrCat("c", Below(8));
    r.round = round_;
    r.at_ms = now_ms_;
    r.forecast.mean_uj = static_cast<int64_t>(Below(15 * kJoule));
    r.forecast.sigma_uj = static_cast<int64_t>(Below(3 * kJoule));
    r.forecast.floor_uj = static_cast<int64_t>(Below(2 * kJoule));
    r.carbon = CarbonIntensity{.g_per_kwh = static_cast<double>(Below(600) + 1)};
    return r;
  }

  // At most what was reserved: all that dishonest clients can do is to claim too little.
  EnergyClaim SomeClaim(const Reservation& of) {
    const auto most = static_cast<uint64_t>(of.reserved_uj()) + 1;
    return {static_cast<int64_t>(Below(most)), Below(4) != 0};
  }

  const std::string& SomeAssignment() { return known_[Below(known_.size())]; }

  void Step() {
    const uint64_t what = Below(10);
    if (what < 4 || known_.empty()) {
      const Reservation r = Next();
      const bool fits = reference_.Fits(r);
      ASSERT_EQ(!book_.Reserve(r).has_value(), fits) << r.assignment;
      if (!fits) {
        ++refused_;
        return;
      }
      ++next_;
      reference_.Reserve(r);
      known_.push_back(r.assignment);
      return;
    }
    const std::string assignment = SomeAssignment();
    if (what < 8) {
      const auto found = reference_.entries().find(assignment);
      if (found == reference_.entries().end()) return;
      const EnergyClaim claim = SomeClaim(found->second.reservation);
      book_.Settle(assignment, claim, kLater);
      reference_.Settle(assignment, claim);
    } else if (what < 9) {
      book_.Silence(assignment);
      reference_.Silence(assignment);
    } else if (Below(4) == 0) {
      book_.Release(assignment);
      reference_.Release(assignment);
    }
  }

  static void CheckLimit(const BudgetSums& sums, int64_t limit_uj, int64_t limit_ug) {
    if (limit_uj > 0) {
      EXPECT_LE(sums.booked_uj + sums.reserved_uj, limit_uj);
    }
    if (limit_ug > 0) {
      // Each entry is rounded to a microgram by itself.
      EXPECT_LE(sums.booked_ug + sums.reserved_ug, limit_ug);
    }
  }

  void Check() {
    const BudgetSums all = reference_.Sum([](const Reservation&) { return true; });
    EXPECT_EQ(book_.job(), all);
    CheckLimit(all, limits_.uj.job, limits_.micrograms.job);
    const BudgetSums round =
        reference_.Sum([&](const Reservation& r) { return r.round == round_; });
    CheckLimit(round, limits_.uj.round, limits_.micrograms.round);
    if (limits_.uj.round > 0) {
      EXPECT_EQ(book_.OfRound(round_), round);
    }
    for (int i = 0; i < 8; ++i) {
      const std::string client = absl::StrCat("c", i);
      const BudgetSums sums =
          reference_.Sum([&](const Reservation& r) { return r.client == client; });
      CheckLimit(sums, limits_.uj.client, limits_.micrograms.client);
      if (limits_.uj.client > 0) {
        EXPECT_EQ(book_.OfClient(client), sums);
      }
    }
  }

  void CheckRebuilt() {
    BudgetBook rebuilt(limits_);
    for (const auto& [assignment, entry] : reference_.entries()) {
      rebuilt.Restore(entry.reservation, entry.booked);
    }
    EXPECT_EQ(rebuilt.job(), book_.job());
    EXPECT_EQ(rebuilt.Open(), book_.Open());
    EXPECT_EQ(rebuilt.estimated_uj(), book_.estimated_uj());
    EXPECT_EQ(rebuilt.OfDay(now_ms_), book_.OfDay(now_ms_));
    EXPECT_EQ(rebuilt.OfRound(round_), book_.OfRound(round_));
    book_ = rebuilt;  // go on as after a restart
  }

  Rng rng_;
  const BudgetLimits limits_;
  BudgetBook book_;
  ReferenceBudget reference_;
  std::vector<std::string> known_;
  uint64_t round_ = 1;
  int64_t now_ms_ = 0;
  int next_ = 0;
  int refused_ = 0;
};

TEST(BudgetBookProperty, NoLimitIsPassedWhateverTheFleetReports) {
  int refused = 0;
  int reserved = 0;
  for (uint64_t seed = 0; seed < 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    BudgetWorld world(seed);
    world.Run();
    refused += world.refused();
    reserved += world.reserved();
  }
  EXPECT_GT(refused, 1000) << "the limits were felt";
  EXPECT_GT(reserved, 1000) << "and left room";
}

// Honest work beyond its reservation is booked; what follows finds less room.
TEST(BudgetBookProperty, WhatIsNeededBeyondTheReservationIsBookedAndEndsTheAssigning) {
  BudgetLimits limits;
  limits.uj.job = 20 * kJoule;
  BudgetBook book(limits);
  Reservation first;
  first.assignment = "a";
  first.forecast = {10 * kJoule, 0, 0, 0, false};
  Reservation second = first;
  second.assignment = "b";
  ASSERT_FALSE(book.Reserve(first));
  ASSERT_FALSE(book.WhyNot(second));
  book.Settle("a", {15 * kJoule, true}, kLater);
  EXPECT_EQ(book.job().booked_uj, 15 * kJoule);
  EXPECT_TRUE(book.WhyNot(second));
}

}  // namespace
}  // namespace fedwatt
