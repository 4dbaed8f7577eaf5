#pragma once

// The budget of one job: what its devices may spend, counted in booked joules and the grams that
// follow from them.
//
// Devices are never called, so a budget binds by reservation. An assignment reserves what it is
// predicted to cost plus two sigma. A report settles it at the larger of the client's claim and the
// floor of its device class, for a claim can be too low; silence books the whole reservation.
// Limits bind booked + reserved: past one nothing is assigned, while running work finishes. So the
// booked sum stays within its limits as long as no client honestly needs more than its reservation;
// what it needs beyond is booked all the same, and the next assignment finds less room.
//
// Only joules of devices count; the coordinator's own are in the ledger, apart.
//
//   Reserve (durable before the assignment is sent) -> Settle | Silence [-> Settle, if it comes
//   late] ; Release if it was never sent
//
// Pure: no clock, no I/O. One thread at a time.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/model/fleet.h"
#include "server/carbon/carbon_intensity.h"
#include "server/prediction/claim_check.h"

namespace fedwatt {

// What one assignment may cost, and what is believed of it.
struct EnergyForecast {
  int64_t mean_uj = 0;
  int64_t sigma_uj = 0;
  int64_t floor_uj = 0;    // less than this no device of the class can spend
  int64_t ceiling_uj = 0;  // more than this none can; 0: unknown
  bool by_prior = false;   // from the device class, for want of history
  std::string device_class;
  double units = 0;  // of work (server/prediction/cost_history.h); 0: not known
};

struct Reservation {
  std::string assignment;  // id; reserved once in its life
  std::string client;      // pseudonym; empty: forgotten
  uint64_t round = 0;
  int64_t at_ms = 0;  // its day (UTC) is the one that it counts for
  EnergyForecast forecast;
  std::optional<CarbonIntensity> carbon;  // when it was assigned

  // mean + 2 sigma, at least the floor, at most the ceiling.
  int64_t reserved_uj() const;
};

// The forecast for a report of that time: no device spends more than its class can draw from the
// assignment on, though what was reserved can always be booked. A clock that was set back since
// says nothing.
EnergyForecast ForecastAt(const Reservation& reservation, int64_t now_ms);

// By what that report's claim is checked before it is learnt from.
ClaimLimits LimitsOf(const Reservation& reservation, int64_t now_ms);

// What a report says it cost, of the whole device, as predictions are (server/prediction):
// `complete` unless its training was not metered, `finished` unless the work was cut short.
struct EnergyClaim {
  int64_t uj = 0;
  bool complete = false;
  bool finished = true;
};
EnergyClaim ClaimOf(const Report& report, const std::string& device_class);

enum class BookedBy {
  kClaim = 1,
  kFloor,    // the claim was below the device class's floor: flagged
  kCeiling,  // the claim was above its ceiling: flagged and capped
  kPrior,    // no meter, or one with gaps: what was predicted
  kSilence,  // no report: the whole reservation, estimated and wasted
};
const char* BookedByName(BookedBy by);  // "claim", ...

struct BookedEnergy {
  int64_t uj = 0;
  BookedBy by = BookedBy::kClaim;

  bool operator==(const BookedEnergy&) const = default;
};
// Work that was cut short is held to an eighth of the floor: nobody knows how far it came.
BookedEnergy SettledBy(const EnergyForecast& forecast, const EnergyClaim& claim);

// Zero: no limit. Money is joules at a price.
struct BudgetLimits {
  struct Scope {
    int64_t job = 0;
    int64_t round = 0;
    int64_t client = 0;
    int64_t day = 0;

    bool any() const { return job > 0 || round > 0 || client > 0 || day > 0; }
  };
  Scope uj;
  Scope micrograms;
  double money = 0;
  double price_per_kwh = 0;

  bool any() const { return uj.any() || micrograms.any() || money > 0; }
};

// Joules, grams or money in millionths, rounded down: a limit never grows by rounding.
int64_t LimitMicro(double value);

enum class BudgetScope { kJob = 1, kRound, kClient, kDay };

// Why an assignment cannot be: "budget.joules = 500: 480 J are booked, 15 J reserved, 12 J wanted".
struct BudgetRefusal {
  BudgetScope scope = BudgetScope::kJob;
  std::string reason;
};

struct BudgetSums {
  int64_t booked_uj = 0;
  int64_t reserved_uj = 0;
  int64_t booked_ug = 0;
  int64_t reserved_ug = 0;

  bool operator==(const BudgetSums&) const = default;
};

class BudgetBook {
 public:
  explicit BudgetBook(BudgetLimits limits) : limits_(limits) {}

  // Whether Reserve would take it.
  std::optional<BudgetRefusal> WhyNot(const Reservation& reservation) const;

  // Reserves, or changes nothing and says why not. Nothing happens, and nothing is wrong, if the
  // assignment is in the book already. With a limit on grams an assignment without a figure is
  // refused, and so is one of another kind than the first: what the limit counts stays one thing.
  std::optional<BudgetRefusal> Reserve(const Reservation& reservation);

  // What a store remembers of an assignment, whatever the limits say. `booked` none: reserved.
  void Restore(const Reservation& reservation, const std::optional<BookedEnergy>& booked);

  // The report of an assignment. Only the first one counts; after Silence a late one takes the
  // place of the estimate. Unknown assignments (of other jobs, repeated reports) change nothing.
  void Settle(const std::string& assignment, const EnergyClaim& claim, int64_t now_ms);
  void Settle(const std::string& assignment, const Report& report, int64_t now_ms);
  // Its round went on without it.
  void Silence(const std::string& assignment);
  // It was never handed out.
  void Release(const std::string& assignment);

  // Assignments that are reserved, sorted.
  std::vector<std::string> Open() const;

  // Of an assignment that is reserved or silent; null of others.
  const Reservation* Find(const std::string& assignment) const;

  const BudgetLimits& limits() const { return limits_; }
  const BudgetSums& job() const { return job_; }
  BudgetSums OfRound(uint64_t round) const;
  BudgetSums OfClient(const std::string& client) const;
  BudgetSums OfDay(int64_t at_ms) const;
  // Booked by no claim: priors and silence.
  int64_t estimated_uj() const { return estimated_uj_; }
  // Reports whose claims were not believed: booked at the floor, at the ceiling.
  uint64_t raised() const { return raised_; }
  uint64_t capped() const { return capped_; }
  // Whose grams are not in the sums, for want of a figure or because of another kind.
  int64_t joules_without_grams_uj() const { return without_grams_uj_; }
  const std::optional<CarbonKind>& carbon_kind() const { return kind_; }
  double MoneySpent() const;

 private:
  struct Entry {
    Reservation reservation;
    std::optional<BookedEnergy> booked;
  };

  bool CountsGrams(const Reservation& reservation) const;
  int64_t Micrograms(const Reservation& reservation, int64_t uj) const;
  // Adds (sign 1) or takes away (-1) an entry from every sum.
  void Count(const Entry& entry, int sign);
  void Book(const std::string& assignment, const BookedEnergy& booked);

  BudgetLimits limits_;
  std::optional<CarbonKind> kind_;
  // Open and silent ones. What is settled is only in the sums.
  std::unordered_map<std::string, Entry> entries_;
  BudgetSums job_;
  std::map<uint64_t, BudgetSums> rounds_;
  std::unordered_map<std::string, BudgetSums> clients_;
  std::map<int64_t, BudgetSums> days_;
  int64_t estimated_uj_ = 0;
  uint64_t raised_ = 0;
  uint64_t capped_ = 0;
  int64_t without_grams_uj_ = 0;
};

}  // namespace fedwatt
