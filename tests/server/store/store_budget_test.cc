// What the store keeps of budgets and of the ledger's sums: reservations with the assignments,
// settlements with the reports, and the same book after a restart.

#include <gmock/gmock.h>

#include <map>

#include "server/ledger/budget_book.h"
#include "server/store/projection.h"
#include "tests/server/store/each_store.h"

namespace fedwatt {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int64_t kJoule = 1'000'000;

class StoreBudget : public EachStore {
 protected:
  // Each assignment reserves 10 J + 2 x 1 J; the class spends at least 4 J.
  static AppendLog Reserved(const RoundKey& key, const std::vector<std::string>& clients) {
    auto record = std::get<ClientsAssigned>(Assigned(key, clients).record);
    record.forecasts.assign(clients.size(),
                            {10 * kJoule, kJoule, 4 * kJoule, 40 * kJoule, true, "phone"});
    record.carbon = CarbonIntensity{.g_per_kwh = 360, .source = "table", .stale = true};
    return {record};
  }

  static EnergySample Metered(int64_t joules, Phase phase = Phase::kTrain) {
    EnergySample sample = MakeSample(joules * kJoule, "battery", phase);
    sample.scope = EnergyScope::kDevice;
    sample.coverage = 1;
    return sample;
  }

  // "client-or-index: joules by how", in the order of assignments.
  std::vector<std::string> Booked() {
    std::vector<std::string> lines;
    const std::vector<BudgetEntry> entries = *store().LoadReservations("job-1");
    for (const BudgetEntry& entry : entries) {
      lines.push_back(absl::StrCat(
          entry.reservation.client, ": ",
          entry.booked
              ? absl::StrCat(entry.booked->uj / kJoule, " J by ", BookedByName(entry.booked->by))
              : absl::StrCat(entry.reservation.reserved_uj() / kJoule, " J reserved")));
    }
    return lines;
  }

  std::map<std::string, int64_t> Joules(EnergyAxis axis, const EnergyFilter& filter = {}) {
    std::map<std::string, int64_t> sums;
    const std::vector<EnergySum> cells = *store().EnergySums("job-1", axis, filter);
    for (const EnergySum& sum : cells) {
      const EnergyLabel& label = sum.label;
      const std::string name =
          absl::StrCat(label.party == EnergyParty::kCoordinator ? "coordinator " : "", label.client,
                       label.phase ? PhaseName(*label.phase) : "", label.round, " ", label.source,
                       label.use == JouleUse::kWasted ? " wasted" : "");
      sums[name] += sum.figures.energy_uj / kJoule;
    }
    return sums;
  }
};
INSTANTIATE_TEST_SUITE_P(All, StoreBudget, EveryStore(), StoreName);

TEST_P(StoreBudget, AReservationIsDurableWithItsAssignmentAndKeepsAllItSays) {
  ASSERT_TRUE(Write({Reserved(Train(1), {"ann"})}).ok());
  const auto entries = *store().LoadReservations("job-1");
  ASSERT_THAT(entries, SizeIs(1));
  const Reservation& reservation = entries[0].reservation;
  EXPECT_EQ(reservation.assignment, "job-1/r1/a1/0");
  EXPECT_EQ(reservation.client, "ann");
  EXPECT_EQ(reservation.round, 1u);
  EXPECT_EQ(reservation.at_ms, kNowMs);
  EXPECT_EQ(reservation.reserved_uj(), 12 * kJoule);
  EXPECT_EQ(reservation.forecast.floor_uj, 4 * kJoule);
  EXPECT_EQ(reservation.forecast.ceiling_uj, 40 * kJoule);
  EXPECT_TRUE(reservation.forecast.by_prior);
  EXPECT_EQ(reservation.forecast.device_class, "phone");
  ASSERT_TRUE(reservation.carbon);
  EXPECT_EQ(reservation.carbon->g_per_kwh, 360);
  EXPECT_TRUE(reservation.carbon->stale);
  EXPECT_EQ(reservation.carbon->kind, CarbonKind{});
  EXPECT_FALSE(entries[0].booked);
}

TEST_P(StoreBudget, AReportSettlesWhatItReserved) {
  ASSERT_TRUE(Write({Reserved(Train(1), {"ann", "bob", "cat"}), Accepted(Train(1), 0, {Metered(7)}),
                     Accepted(Train(1), 1, {Metered(1)}),
                     Refused(Train(1), 2, "failed", std::vector<EnergySample>{})})
                  .ok());
  EXPECT_THAT(Booked(),
              ElementsAre("ann: 7 J by claim", "bob: 4 J by floor", "cat: 10 J by prior"));
}

TEST_P(StoreBudget, OnlyTheFirstReportCounts) {
  ASSERT_TRUE(Write({Reserved(Train(1), {"ann"}), Accepted(Train(1), 0, {Metered(9)})}).ok());
  ASSERT_TRUE(Write({Accepted(Train(1), 0, {Metered(5)}),
                     Refused(Train(1), 0, "late", std::vector{Metered(5)})})
                  .ok());
  EXPECT_THAT(Booked(), ElementsAre("ann: 9 J by claim"));
}

TEST_P(StoreBudget, TheSilentAreBookedWholeWhenTheAttemptEndsAndCorrectedWhenTheyReportLate) {
  ASSERT_TRUE(Write({Reserved(Train(1), {"ann", "bob"}), Accepted(Train(1), 0, {Metered(7)}),
                     Committed(Train(1)), Reserved(Train(2), {"cat", "dan"}),
                     Abandoned(Train(2), "too few")})
                  .ok());
  EXPECT_THAT(Booked(), ElementsAre("ann: 7 J by claim", "bob: 12 J by silence",
                                    "cat: 12 J by silence", "dan: 12 J by silence"));
  ASSERT_TRUE(Write({Refused(Train(1), 1, "late", std::vector{Metered(8)}),
                     Refused(Train(2), 0, "late", std::vector{Metered(6)}),
                     Refused(Train(2), 0, "late", std::vector{Metered(11)})})
                  .ok());
  EXPECT_THAT(Booked(), ElementsAre("ann: 7 J by claim", "bob: 8 J by claim", "cat: 6 J by claim",
                                    "dan: 12 J by silence"));
}

TEST_P(StoreBudget, AJobWithoutForecastsReservesNothing) {
  ASSERT_TRUE(
      Write({Assigned(Train(1), {"ann"}), Accepted(Train(1), 0), Committed(Train(1))}).ok());
  EXPECT_THAT(Booked(), IsEmpty());
}

TEST_P(StoreBudget, ReservationsSurvivePruningAndForgetTheClient) {
  ASSERT_TRUE(
      Write({Reserved(Train(1), {"ann"}), Accepted(Train(1), 0, {Metered(7)}), Committed(Train(1))})
          .ok());
  ASSERT_TRUE(harness_->Prune({1, 1, 1}, kNowMs + int64_t{90} * 24 * 3600 * 1000).ok());
  EXPECT_THAT(Booked(), ElementsAre("ann: 7 J by claim")) << "a budget forgets no joule";
  ASSERT_TRUE(store().ForgetClient("default", "default", "ann").ok());
  EXPECT_THAT(Booked(), ElementsAre(": 7 J by claim"));
}

TEST_P(StoreBudget, SumsAreKeptByPhaseRoundAndUse) {
  EnergySample upload = Metered(2);
  upload.phase = Phase::kUpload;
  ASSERT_TRUE(
      Write({Reserved(Train(1), {"ann", "bob"}), Accepted(Train(1), 0, {Metered(7), upload})})
          .ok());
  EXPECT_THAT(Joules(EnergyAxis::kPhase), IsEmpty()) << "pending: nobody knows yet what it is for";
  ASSERT_TRUE(Write({Committed(Train(1)), Refused(Train(1), 1, "late", std::vector{Metered(3)}),
                     Reserved(Train(2), {"cat"}), Accepted(Train(2), 0, {Metered(5)}),
                     Abandoned(Train(2), "too few")})
                  .ok());
  using Sums = std::map<std::string, int64_t>;
  EXPECT_EQ(Joules(EnergyAxis::kPhase),
            (Sums{{"train0 battery", 7}, {"upload0 battery", 2}, {"train0 battery wasted", 8}}));
  EXPECT_EQ(Joules(EnergyAxis::kRound),
            (Sums{{"1 battery", 9}, {"1 battery wasted", 3}, {"2 battery wasted", 5}}));
  EXPECT_EQ(Joules(EnergyAxis::kClient),
            (Sums{{"ann0 battery", 9}, {"bob0 battery wasted", 3}, {"cat0 battery wasted", 5}}));
}

TEST_P(StoreBudget, GramsStandBesideTheJoulesWithTheirKind) {
  ASSERT_TRUE(Write({Reserved(Train(1), {"ann"}), Accepted(Train(1), 0, {Metered(10)}),
                     Committed(Train(1))})
                  .ok());
  for (const EnergyAxis axis : {EnergyAxis::kPhase, EnergyAxis::kClient}) {
    const auto sums = *store().EnergySums("job-1", axis, {});
    ASSERT_THAT(sums, SizeIs(1));
    EXPECT_EQ(sums[0].label.carbon, "average lifecycle CO2e location");
    EXPECT_EQ(sums[0].figures.micrograms, 1000);
    EXPECT_EQ(sums[0].figures.stale_micrograms, 1000);
  }
}

// By client, also of one round, one phase, one day: what the cells would say.
TEST_P(StoreBudget, QuestionsOfClientsMayNameEverythingElse) {
  ASSERT_TRUE(
      Write({Reserved(Train(1), {"ann", "bob"}),
             Accepted(Train(1), 0, {Metered(7), Metered(2, Phase::kUpload)}),
             Accepted(Train(1), 1, {Metered(3)}), Committed(Train(1)), Reserved(Train(2), {"ann"}),
             Accepted(Train(2), 0, {Metered(5)}), Abandoned(Train(2), "too few")})
          .ok());
  using Sums = std::map<std::string, int64_t>;
  const auto where = [](const std::vector<std::string>& conditions) {
    EnergyFilter filter;
    for (const std::string& condition : conditions) EXPECT_TRUE(filter.Add(condition).ok());
    return filter;
  };
  EXPECT_EQ(Joules(EnergyAxis::kClient),
            (Sums{{"ann0 battery", 9}, {"ann0 battery wasted", 5}, {"bob0 battery", 3}}));
  EXPECT_EQ(Joules(EnergyAxis::kClient, where({"use=wasted"})), (Sums{{"ann0 battery wasted", 5}}));
  EXPECT_EQ(Joules(EnergyAxis::kClient, where({"round=1"})),
            (Sums{{"ann0 battery", 9}, {"bob0 battery", 3}}));
  EXPECT_EQ(Joules(EnergyAxis::kClient, where({"phase=upload"})), (Sums{{"ann0 battery", 2}}));
  EXPECT_EQ(Joules(EnergyAxis::kPhase, where({"client=ann"})),
            (Sums{{"train0 battery", 7}, {"upload0 battery", 2}, {"train0 battery wasted", 5}}));
  EXPECT_EQ(Joules(EnergyAxis::kRound, where({"client=ann"})),
            (Sums{{"1 battery", 9}, {"2 battery wasted", 5}}));
  EXPECT_EQ(Joules(EnergyAxis::kSource, where({"client=bob", "source=battery"})),
            (Sums{{"0 battery", 3}}));
  EXPECT_EQ(Joules(EnergyAxis::kSource, where({"client=bob", "quality=simulated"})), Sums());
  EXPECT_EQ(Joules(EnergyAxis::kClient, where({"round=1", "party=coordinator"})), Sums());
  EnergyFilter tomorrow;
  tomorrow.since_hour = HourOf(kNowMs) + 24;
  EXPECT_EQ(Joules(EnergyAxis::kClient, tomorrow), Sums());
  EnergyFilter today;
  today.since_hour = HourOf(kNowMs) - 24;
  today.until_hour = HourOf(kNowMs) + 24;
  today.client = "bob";
  EXPECT_EQ(Joules(EnergyAxis::kDay, today), (Sums{{"0 battery", 3}}));
}

TEST_P(StoreBudget, WhatAForgottenClientSpentStaysWithoutItsName) {
  ASSERT_TRUE(Write({Reserved(Train(1), {"ann", "bob", "cat"}), Accepted(Train(1), 0, {Metered(7)}),
                     Accepted(Train(1), 1, {Metered(3)}), Accepted(Train(1), 2, {Metered(1)}),
                     Committed(Train(1))})
                  .ok());
  for (const char* client : {"ann", "cat"}) {
    ASSERT_TRUE(store().ForgetClient("default", "default", client).ok());
  }
  using Sums = std::map<std::string, int64_t>;
  EXPECT_EQ(Joules(EnergyAxis::kClient), (Sums{{"0 battery", 8}, {"bob0 battery", 3}}));
}

// The first report estimates its upload. Its answer is lost; the next one has measured that upload
// and estimates its own.
TEST_P(StoreBudget, AReportThatIsSentAgainBooksWhatItCostBeyondTheFirst) {
  EnergySample estimate = Metered(3, Phase::kUpload);
  estimate.quality = EnergyQuality::kEstimated;
  ASSERT_TRUE(
      Write({Reserved(Train(1), {"ann"}), Accepted(Train(1), 0, {Metered(7), estimate})}).ok());
  const AppendLog again = Refused(Train(1), 0, "repeated",
                                  std::vector{Metered(7), Metered(2, Phase::kUpload), estimate});
  ASSERT_TRUE(Write({again}).ok());
  ASSERT_TRUE(Write({again}).ok()) << "and again, for nothing more";
  ASSERT_TRUE(Write({Committed(Train(1))}).ok());
  using Sums = std::map<std::string, int64_t>;
  EXPECT_EQ(Joules(EnergyAxis::kPhase),
            (Sums{{"train0 battery", 7}, {"upload0 battery", 3}, {"upload0 battery wasted", 2}}));
  EXPECT_EQ(StateOf(Train(1), 0), "committed") << "it counts all the same";
}

// Nothing of the first upload arrived, so that what it cost is known by measuring alone.
TEST_P(StoreBudget, AMeasuredUploadAndTheEstimateOfTheNextTryAreBothBooked) {
  EnergySample estimate = Metered(3, Phase::kUpload);
  estimate.quality = EnergyQuality::kEstimated;
  ASSERT_TRUE(
      Write({Reserved(Train(1), {"ann"}),
             Accepted(Train(1), 0, {Metered(2, Phase::kUpload), estimate}), Committed(Train(1))})
          .ok());
  EXPECT_EQ(Joules(EnergyAxis::kPhase), (std::map<std::string, int64_t>{{"upload0 battery", 5}}));
}

TEST_P(StoreBudget, TheCoordinatorsOwnJoulesAreApart) {
  auto commit = std::get<RoundCommitted>(Committed(Train(1)).record);
  commit.coordinator = {MakeSample(50 * kJoule, "rapl")};
  commit.carbon = CarbonIntensity{.g_per_kwh = 360};
  ASSERT_TRUE(
      Write({Reserved(Train(1), {"ann"}), Accepted(Train(1), 0, {Metered(7)}), AppendLog{commit}})
          .ok());
  using Sums = std::map<std::string, int64_t>;
  EXPECT_EQ(Joules(EnergyAxis::kSource), (Sums{{"0 battery", 7}, {"coordinator 0 rapl", 50}}));
  EXPECT_EQ(Joules(EnergyAxis::kClient), (Sums{{"ann0 battery", 7}, {"coordinator 0 rapl", 50}}));
  EXPECT_THAT(EnergyOf("job-1"),
              ElementsAre("battery/measured/device useful 7000000 wasted 0 of 1, 0 unavailable"))
      << "totals are of devices";
}

TEST_P(StoreBudget, ABookRebuiltFromTheStoreIsTheOneThatWasKept) {
  BudgetLimits limits;
  limits.uj.client = limits.uj.round = limits.uj.day = 1000 * kJoule;
  BudgetBook kept(limits);
  const auto assign = [&](const RoundKey& key, const std::vector<std::string>& clients) {
    const AppendLog log = Reserved(key, clients);
    ASSERT_TRUE(Write({log}).ok());
    for (uint32_t i = 0; i < clients.size(); ++i) {
      ASSERT_FALSE(kept.Reserve(ReservationOf(std::get<ClientsAssigned>(log.record), i)));
    }
  };
  assign(Train(1), {"ann", "bob", "cat"});
  const AppendLog accepted = Accepted(Train(1), 1, {Metered(7)});
  ASSERT_TRUE(Write({accepted}).ok());
  const auto& record = std::get<ReportAccepted>(accepted.record);
  kept.Settle("job-1/r1/a1/1", ClaimOf(record.report, "phone"), record.now_ms);
  ASSERT_TRUE(Write({Committed(Train(1))}).ok());
  for (const std::string& open : kept.Open()) kept.Silence(open);
  assign(Train(2), {"ann"});
  BudgetBook rebuilt(limits);
  const std::vector<BudgetEntry> entries = *store().LoadReservations("job-1");
  for (const BudgetEntry& entry : entries) {
    rebuilt.Restore(entry.reservation, entry.booked);
  }
  EXPECT_EQ(rebuilt.job(), kept.job());
  EXPECT_EQ(rebuilt.job().booked_uj, 31 * kJoule);
  EXPECT_EQ(rebuilt.OfClient("ann"), kept.OfClient("ann"));
  EXPECT_EQ(rebuilt.OfRound(1), kept.OfRound(1));
  EXPECT_EQ(rebuilt.Open(), kept.Open());
  EXPECT_EQ(rebuilt.estimated_uj(), kept.estimated_uj());
}

}  // namespace
}  // namespace fedwatt
