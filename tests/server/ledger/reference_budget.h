#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/ledger/budget_book.h"

namespace fedwatt {

// A budget that keeps everything it is told and adds it all up again for every question. Slow and
// plain: what BudgetBook must agree with.
class ReferenceBudget {
 public:
  explicit ReferenceBudget(BudgetLimits limits) : limits_(limits) {}

  bool Fits(const Reservation& wanted) const;
  void Reserve(const Reservation& reservation) { entries_[reservation.assignment] = {reservation}; }
  void Settle(const std::string& assignment, const EnergyClaim& claim);
  void Silence(const std::string& assignment);
  void Release(const std::string& assignment);

  struct Entry {
    Reservation reservation;
    std::optional<BookedEnergy> booked;
  };
  const std::map<std::string, Entry>& entries() const { return entries_; }

  // Of the entries that `of` accepts.
  template <typename Predicate>
  BudgetSums Sum(Predicate of) const {
    BudgetSums sums;
    for (const auto& [assignment, entry] : entries_) {
      const Reservation& r = entry.reservation;
      if (!of(r)) continue;
      const int64_t uj = entry.booked ? entry.booked->uj : r.reserved_uj();
      const int64_t ug = r.carbon ? EmissionsOf(uj, *r.carbon).micrograms : 0;
      (entry.booked ? sums.booked_uj : sums.reserved_uj) += uj;
      (entry.booked ? sums.booked_ug : sums.reserved_ug) += ug;
    }
    return sums;
  }

 private:
  const BudgetLimits limits_;
  std::map<std::string, Entry> entries_;
};

}  // namespace fedwatt
