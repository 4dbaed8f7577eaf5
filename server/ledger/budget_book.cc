#include "server/ledger/budget_book.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/ledger/energy_ledger.h"
#include "server/prediction/device_class.h"

namespace fedwatt {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int64_t kMsPerUtcDay = 86'400'000;
constexpr double kMicro = 1e6;
constexpr double kMicrojoulesPerKwh = 3.6e12;
// What is demanded of work that was cut short, as a part of the floor.
constexpr int64_t kUnfinishedPart = 8;

int64_t Add(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? kMost : sum;
}

int64_t DayOf(int64_t at_ms) {
  const int64_t day = at_ms / kMsPerUtcDay;
  return at_ms % kMsPerUtcDay < 0 ? day - 1 : day;
}

struct Limit {
  BudgetScope scope;
  const char* key;
  int64_t limit;
  int64_t booked;
  int64_t reserved;
  int64_t wanted;
  const char* unit;
};

bool Fits(const Limit& limit) {
  if (limit.limit <= 0) return true;
  return Add(Add(limit.booked, limit.reserved), limit.wanted) <= limit.limit;
}

std::string Figure(int64_t micro, const char* unit) {
  return absl::StrFormat("%.6g %s", static_cast<double>(micro) / kMicro, unit);
}

std::string ReasonOf(const Limit& limit) {
  return absl::StrCat("budget.", limit.key, " = ", Figure(limit.limit, limit.unit), ": ",
                      Figure(limit.booked, limit.unit), " are booked, ",
                      Figure(limit.reserved, limit.unit), " reserved, ",
                      Figure(limit.wanted, limit.unit), " wanted for the next assignment");
}

}  // namespace

int64_t Reservation::reserved_uj() const {
  const int64_t two_sigma = Add(forecast.sigma_uj, forecast.sigma_uj);
  const int64_t wanted = std::max(Add(forecast.mean_uj, two_sigma), forecast.floor_uj);
  return forecast.ceiling_uj > 0 ? std::min(wanted, forecast.ceiling_uj) : wanted;
}

EnergyForecast ForecastAt(const Reservation& reservation, int64_t now_ms) {
  EnergyForecast forecast = reservation.forecast;
  const int64_t elapsed_ms = now_ms - reservation.at_ms;
  if (elapsed_ms < 0) return forecast;
  const double seconds = static_cast<double>(elapsed_ms) / 1000 + kClockSlackS;
  const int64_t drawn = LimitMicro(PeakWatts(forecast.device_class) * seconds);
  const int64_t most = std::max(drawn, reservation.reserved_uj());
  forecast.ceiling_uj = forecast.ceiling_uj > 0 ? std::min(forecast.ceiling_uj, most) : most;
  return forecast;
}

ClaimLimits LimitsOf(const Reservation& reservation, int64_t now_ms) {
  const EnergyForecast forecast = ForecastAt(reservation, now_ms);
  ClaimLimits limits;
  limits.units = forecast.units;
  limits.least_joules = static_cast<double>(forecast.floor_uj) / kMicro;
  limits.most_joules = static_cast<double>(forecast.ceiling_uj) / kMicro;
  const int64_t elapsed_ms = now_ms - reservation.at_ms;
  if (elapsed_ms >= 0) limits.elapsed_s = static_cast<double>(elapsed_ms) / 1000;
  return limits;
}

EnergyClaim ClaimOf(const Report& report, const std::string& device_class) {
  // What is booked is what is believed: a refused figure is a gap.
  const CostClaim cost =
      CostClaimOf(report.metrics, BookSamples(report.energy).samples, device_class);
  const bool finished = report.status == ReportStatus::kOk;
  if (!cost.joules || !(*cost.joules >= 0)) return {0, false, finished};
  return {LimitMicro(*cost.joules), true, finished};
}

const char* BookedByName(BookedBy by) {
  switch (by) {
    case BookedBy::kClaim:
      return "claim";
    case BookedBy::kFloor:
      return "floor";
    case BookedBy::kCeiling:
      return "ceiling";
    case BookedBy::kPrior:
      return "prior";
    case BookedBy::kSilence:
      return "silence";
  }
  return "unknown";
}

BookedEnergy SettledBy(const EnergyForecast& forecast, const EnergyClaim& claim) {
  // An estimate is held within its class, too, but nobody claimed it.
  const int64_t uj = claim.complete ? claim.uj : std::max(claim.uj, forecast.mean_uj);
  const auto booked = [&claim](int64_t at, BookedBy by) {
    return BookedEnergy{at, claim.complete ? by : BookedBy::kPrior};
  };
  if (forecast.ceiling_uj > 0 && uj > forecast.ceiling_uj) {
    return booked(forecast.ceiling_uj, BookedBy::kCeiling);
  }
  const int64_t floor = claim.finished ? forecast.floor_uj : forecast.floor_uj / kUnfinishedPart;
  if (uj < floor) return booked(floor, BookedBy::kFloor);
  return booked(uj, BookedBy::kClaim);
}

int64_t LimitMicro(double value) {
  const double micro = std::floor(value * kMicro);
  return micro < 0x1p63 ? static_cast<int64_t>(micro) : kMost;
}

bool BudgetBook::CountsGrams(const Reservation& reservation) const {
  return reservation.carbon && kind_ && reservation.carbon->kind == *kind_;
}

int64_t BudgetBook::Micrograms(const Reservation& reservation, int64_t uj) const {
  return CountsGrams(reservation) ? EmissionsOf(uj, *reservation.carbon).micrograms : 0;
}

std::optional<BudgetRefusal> BudgetBook::WhyNot(const Reservation& reservation) const {
  if (limits_.micrograms.any()) {
    if (!reservation.carbon) {
      return BudgetRefusal{BudgetScope::kJob,
                           "budget.gco2e: there is no carbon figure to count grams by"};
    }
    if (kind_ && *kind_ != reservation.carbon->kind) {
      return BudgetRefusal{
          BudgetScope::kJob,
          absl::StrCat("budget.gco2e counts grams that are ", CarbonKindText(*kind_),
                       ", the carbon source now gives ", CarbonKindText(reservation.carbon->kind))};
    }
  }
  const int64_t uj = reservation.reserved_uj();
  const int64_t ug = reservation.carbon ? EmissionsOf(uj, *reservation.carbon).micrograms : 0;
  const BudgetSums round = OfRound(reservation.round);
  const BudgetSums client = OfClient(reservation.client);
  const BudgetSums day = OfDay(reservation.at_ms);
  // Money is joules at a price: one limit in two units.
  const int64_t bought =
      limits_.money > 0
          ? LimitMicro(limits_.money / limits_.price_per_kwh * kMicrojoulesPerKwh / kMicro)
          : 0;
  const Limit all[] = {
      {BudgetScope::kJob, "joules", limits_.uj.job, job_.booked_uj, job_.reserved_uj, uj, "J"},
      {BudgetScope::kJob, "money (in joules at the price)", bought, job_.booked_uj,
       job_.reserved_uj, uj, "J"},
      {BudgetScope::kJob, "gco2e", limits_.micrograms.job, job_.booked_ug, job_.reserved_ug, ug,
       "g"},
      {BudgetScope::kRound, "joules_per_round", limits_.uj.round, round.booked_uj,
       round.reserved_uj, uj, "J"},
      {BudgetScope::kRound, "gco2e_per_round", limits_.micrograms.round, round.booked_ug,
       round.reserved_ug, ug, "g"},
      {BudgetScope::kDay, "joules_per_day", limits_.uj.day, day.booked_uj, day.reserved_uj, uj,
       "J"},
      {BudgetScope::kDay, "gco2e_per_day", limits_.micrograms.day, day.booked_ug, day.reserved_ug,
       ug, "g"},
      {BudgetScope::kClient, "joules_per_client", limits_.uj.client, client.booked_uj,
       client.reserved_uj, uj, "J"},
      {BudgetScope::kClient, "gco2e_per_client", limits_.micrograms.client, client.booked_ug,
       client.reserved_ug, ug, "g"},
  };
  for (const Limit& limit : all) {
    if (!Fits(limit)) return BudgetRefusal{limit.scope, ReasonOf(limit)};
  }
  return std::nullopt;
}

std::optional<BudgetRefusal> BudgetBook::Reserve(const Reservation& reservation) {
  if (entries_.contains(reservation.assignment)) return std::nullopt;
  if (auto refusal = WhyNot(reservation)) return refusal;
  Restore(reservation, std::nullopt);
  return std::nullopt;
}

void BudgetBook::Restore(const Reservation& reservation,
                         const std::optional<BookedEnergy>& booked) {
  if (entries_.contains(reservation.assignment)) return;
  if (!kind_ && reservation.carbon) kind_ = reservation.carbon->kind;
  Entry entry{reservation, booked};
  Count(entry, 1);
  if (!booked || booked->by == BookedBy::kSilence) {
    entries_.emplace(reservation.assignment, std::move(entry));
  }
}

void BudgetBook::Count(const Entry& entry, int sign) {
  const Reservation& reservation = entry.reservation;
  const int64_t uj = entry.booked ? entry.booked->uj : reservation.reserved_uj();
  const int64_t ug = Micrograms(reservation, uj);
  const auto count = [&](BudgetSums* sums) {
    int64_t& joules = entry.booked ? sums->booked_uj : sums->reserved_uj;
    int64_t& grams = entry.booked ? sums->booked_ug : sums->reserved_ug;
    joules = Add(joules, sign * uj);
    grams = Add(grams, sign * ug);
  };
  count(&job_);
  if (limits_.uj.round > 0 || limits_.micrograms.round > 0) count(&rounds_[reservation.round]);
  if (limits_.uj.day > 0 || limits_.micrograms.day > 0) count(&days_[DayOf(reservation.at_ms)]);
  const bool by_client = limits_.uj.client > 0 || limits_.micrograms.client > 0;
  if (by_client && !reservation.client.empty()) count(&clients_[reservation.client]);
  if (!entry.booked) return;
  const auto tally = [&](BookedBy by, uint64_t* reports) {
    if (entry.booked->by == by) *reports += static_cast<uint64_t>(static_cast<int64_t>(sign));
  };
  tally(BookedBy::kFloor, &raised_);
  tally(BookedBy::kCeiling, &capped_);
  const bool estimated =
      entry.booked->by == BookedBy::kPrior || entry.booked->by == BookedBy::kSilence;
  if (estimated) estimated_uj_ = Add(estimated_uj_, sign * uj);
  if (!CountsGrams(reservation)) without_grams_uj_ = Add(without_grams_uj_, sign * uj);
}

void BudgetBook::Book(const std::string& assignment, const BookedEnergy& booked) {
  const auto found = entries_.find(assignment);
  if (found == entries_.end()) return;
  Count(found->second, -1);
  found->second.booked = booked;
  Count(found->second, 1);
  if (booked.by != BookedBy::kSilence) entries_.erase(found);
}

void BudgetBook::Settle(const std::string& assignment, const EnergyClaim& claim, int64_t now_ms) {
  const auto found = entries_.find(assignment);
  if (found == entries_.end()) return;
  Book(assignment, SettledBy(ForecastAt(found->second.reservation, now_ms), claim));
}

void BudgetBook::Settle(const std::string& assignment, const Report& report, int64_t now_ms) {
  const auto found = entries_.find(assignment);
  if (found == entries_.end()) return;
  const std::string& device_class = found->second.reservation.forecast.device_class;
  Settle(assignment, ClaimOf(report, device_class), now_ms);
}

const Reservation* BudgetBook::Find(const std::string& assignment) const {
  const auto found = entries_.find(assignment);
  return found == entries_.end() ? nullptr : &found->second.reservation;
}

void BudgetBook::Silence(const std::string& assignment) {
  const auto found = entries_.find(assignment);
  if (found == entries_.end() || found->second.booked) return;
  Book(assignment, {found->second.reservation.reserved_uj(), BookedBy::kSilence});
}

void BudgetBook::Release(const std::string& assignment) {
  const auto found = entries_.find(assignment);
  if (found == entries_.end() || found->second.booked) return;
  Count(found->second, -1);
  entries_.erase(found);
}

std::vector<std::string> BudgetBook::Open() const {
  std::vector<std::string> open;
  for (const auto& [assignment, entry] : entries_) {
    if (!entry.booked) open.push_back(assignment);
  }
  std::sort(open.begin(), open.end());
  return open;
}

BudgetSums BudgetBook::OfRound(uint64_t round) const {
  const auto found = rounds_.find(round);
  return found == rounds_.end() ? BudgetSums{} : found->second;
}

BudgetSums BudgetBook::OfClient(const std::string& client) const {
  const auto found = clients_.find(client);
  return found == clients_.end() ? BudgetSums{} : found->second;
}

BudgetSums BudgetBook::OfDay(int64_t at_ms) const {
  const auto found = days_.find(DayOf(at_ms));
  return found == days_.end() ? BudgetSums{} : found->second;
}

double BudgetBook::MoneySpent() const {
  return static_cast<double>(job_.booked_uj) / kMicrojoulesPerKwh * limits_.price_per_kwh;
}

}  // namespace fedwatt
