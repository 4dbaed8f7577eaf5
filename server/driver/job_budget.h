#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/model/job_view.h"
#include "server/carbon/carbon_source.h"
#include "server/driver/job_setup.h"
#include "server/ledger/budget_book.h"
#include "server/prediction/cost_predictor.h"
#include "server/store/store.h"

// A job's budget as its driver uses it: the book, what assignments are predicted to cost, and the
// grid that they draw from. Every job keeps a book; limits make it bind.
//
//   Restore (at the start) -> per attempt: Reserve -> Confirm -> OnReport ... -> End | Drop
namespace fedwatt {

BudgetLimits LimitsOf(const JobSpec::Budget& budget);

// What one round cannot cost less than: its least reports at the floor of the cheapest device class
// known. INVALID_ARGUMENT with the figures when a limit is below that, so that no round could ever
// be.
absl::Status CheckBudgetFits(const JobSetup& setup, const std::optional<CarbonIntensity>& carbon);

// What a client's assignment would cost: `cost`, if that is known of it, else by its device class.
// Floor and ceiling are of the class, never of the client: who always claims too little must not
// lower its own floor.
EnergyForecast ForecastOf(const JobSetup& setup, bool evaluation, const Offer& offer,
                          const CostPredictor& predictor,
                          const std::optional<CostPrediction>& cost);

// On the job's strand.
class JobBudget {
 public:
  // `carbon`: null: grams are not counted.
  JobBudget(std::shared_ptr<const JobSetup> setup, std::shared_ptr<CarbonSource> carbon);

  void Restore(const std::vector<BudgetEntry>& entries);

  bool LimitsClients() const;
  // A client that is predicted to pass its own limit with another assignment.
  bool SpentOut(const std::string& client) const;

  struct Choice {
    std::vector<size_t> kept;              // of the offers, ascending; the others do not fit
    std::optional<BudgetRefusal> refusal;  // why not; the widest scope that refused
  };
  // Reserves for the offers in order, as the assignments 0, 1, ... of the attempt. `costs`: by
  // client, what is predicted of it; others go by their device class, as do all evaluations.
  Choice Reserve(const RoundKey& key, const std::vector<Offer>& offers,
                 const CostPredictor& predictor,
                 const std::unordered_map<std::string, CostPrediction>& costs, int64_t now_ms);
  // Writes the reservations into the record that makes them durable.
  void Confirm(ClientsAssigned* record);
  // They were never handed out.
  void Drop();
  // A report that is durable since `now_ms`, in time or late.
  void OnReport(const std::string& assignment, const Report& report, int64_t now_ms);
  // What the assignment reserved, until its report has settled it; null then, and of others.
  const Reservation* ReservedBy(const std::string& assignment) const {
    return book_.Find(assignment);
  }
  // The attempt has ended: what is still open is booked by silence.
  void End();

  // Booked once the attempt in flight has ended as it stands now.
  int64_t BookedAtEndUj() const { return book_.job().booked_uj + book_.job().reserved_uj; }
  int64_t BookedAtEndUg() const { return book_.job().booked_ug + book_.job().reserved_ug; }
  BudgetView View() const;

  std::optional<CarbonIntensity> CarbonAt(int64_t now_ms) const;

  // Whether what was refused fits another day: its limit is one of days, and this day's is used.
  bool FitsAnotherDay(const BudgetRefusal& refusal, int64_t now_ms) const;

  // Until when the next training round should wait for cleaner hours, and why; none: it need not.
  // Rounds wait for `carbon.pause_max_s` since `created_ms` at most, and only for a figure that is
  // known and fresh.
  struct Pause {
    int64_t until_ms = 0;  // look again then
    std::string reason;
  };
  std::optional<Pause> PauseAt(int64_t now_ms, int64_t created_ms) const;
  // The end of the day that `now_ms` is in (UTC), for limits of days.
  static int64_t NextDayMs(int64_t now_ms);

 private:
  const std::shared_ptr<const JobSetup> setup_;
  const std::shared_ptr<CarbonSource> carbon_;
  BudgetBook book_;
  std::vector<EnergyForecast> forecasts_;                      // of the attempt, by index
  std::optional<CarbonIntensity> figure_;                      // for it
  std::unordered_map<std::string, int64_t> last_reserved_uj_;  // by client, with a limit on clients
};

}  // namespace fedwatt
