#include "tests/server/ledger/reference_budget.h"

namespace fedwatt {

bool ReferenceBudget::Fits(const Reservation& wanted) const {
  const int64_t uj = wanted.reserved_uj();
  const int64_t ug = wanted.carbon ? EmissionsOf(uj, *wanted.carbon).micrograms : 0;
  const auto within = [&](const BudgetSums& sums, int64_t limit_uj, int64_t limit_ug) {
    return (limit_uj == 0 || sums.booked_uj + sums.reserved_uj + uj <= limit_uj) &&
           (limit_ug == 0 || sums.booked_ug + sums.reserved_ug + ug <= limit_ug);
  };
  constexpr int64_t kDayMs = 86'400'000;
  return within(Sum([](const Reservation&) { return true; }), limits_.uj.job,
                limits_.micrograms.job) &&
         within(Sum([&](const Reservation& r) { return r.round == wanted.round; }),
                limits_.uj.round, limits_.micrograms.round) &&
         within(Sum([&](const Reservation& r) { return r.client == wanted.client; }),
                limits_.uj.client, limits_.micrograms.client) &&
         within(
             Sum([&](const Reservation& r) { return r.at_ms / kDayMs == wanted.at_ms / kDayMs; }),
             limits_.uj.day, limits_.micrograms.day);
}

void ReferenceBudget::Settle(const std::string& assignment, const EnergyClaim& claim) {
  const auto found = entries_.find(assignment);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (entry.booked && entry.booked->by != BookedBy::kSilence) return;
  entry.booked = SettledBy(entry.reservation.forecast, claim);
}

void ReferenceBudget::Silence(const std::string& assignment) {
  const auto found = entries_.find(assignment);
  if (found == entries_.end() || found->second.booked) return;
  found->second.booked = BookedEnergy{found->second.reservation.reserved_uj(), BookedBy::kSilence};
}

void ReferenceBudget::Release(const std::string& assignment) {
  const auto found = entries_.find(assignment);
  if (found != entries_.end() && !found->second.booked) entries_.erase(found);
}

}  // namespace fedwatt
