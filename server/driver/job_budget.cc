#include "server/driver/job_budget.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/store/projection.h"

namespace fedwatt {
namespace {

constexpr int64_t kDayMs = 86'400'000;
// Between looks at the grid while a job waits for cleaner hours.
constexpr int64_t kLookAgainMs = 60'000;
constexpr double kMicro = 1e6;
// An evaluation goes forward only: two of the six operations a weight and example.
constexpr double kEvaluationShare = 1.0 / 3;

// What a client with so many examples does for one assignment, in steps of the plan's batch size.
double UnitsOf(const JobSetup& setup, bool evaluation, uint32_t example_count_bucket) {
  const Plan& plan = setup.spec.plan;
  if (!evaluation && plan.local_steps > 0) return plan.local_steps;
  // The middle of the bucket [2^(b-1), 2^b); of an unknown number the least that a job asks for.
  double examples =
      example_count_bucket > 0
          ? 0.75 * std::ldexp(1.0, static_cast<int>(example_count_bucket))
          : static_cast<double>(std::max<uint64_t>(setup.spec.dataset.min_examples, 1));
  if (evaluation && setup.spec.evaluation.max_examples > 0) {
    examples = std::min<double>(examples, setup.spec.evaluation.max_examples);
  }
  const double passes = evaluation ? kEvaluationShare : plan.local_epochs;
  return std::max(examples * passes / std::max<uint32_t>(plan.batch_size, 1), 1.0);
}

CostPredictor AssumedCosts(const JobSetup& setup) {
  const uint64_t parameters = setup.header.manifest.TotalBytes() / sizeof(float);
  return CostPredictor(FlopsPerStep(parameters, setup.spec.plan.batch_size));
}

int64_t Uj(double joules) { return LimitMicro(std::max(joules, 0.0)); }

}  // namespace

BudgetLimits LimitsOf(const JobSpec::Budget& budget) {
  // However small, a limit is one: 0 would be none.
  const auto limit = [](double value) {
    return value > 0 ? std::max<int64_t>(LimitMicro(value), 1) : 0;
  };
  BudgetLimits limits;
  limits.uj = {limit(budget.joules), limit(budget.joules_per_round),
               limit(budget.joules_per_client), limit(budget.joules_per_day)};
  limits.micrograms = {limit(budget.gco2e), limit(budget.gco2e_per_round),
                       limit(budget.gco2e_per_client), limit(budget.gco2e_per_day)};
  limits.money = budget.money;
  limits.price_per_kwh = budget.price_per_kwh;
  return limits;
}

EnergyForecast ForecastOf(const JobSetup& setup, bool evaluation, const Offer& offer,
                          const CostPredictor& predictor,
                          const std::optional<CostPrediction>& cost) {
  const DatasetRef* dataset = MatchingDataset(setup.need(evaluation), offer);
  const double units =
      UnitsOf(setup, evaluation, dataset == nullptr ? 0 : dataset->example_count_bucket);
  const std::string& device_class = offer.request.capabilities.device_class;
  const CostPrediction prediction =
      cost && !evaluation ? *cost : predictor.Predict(device_class, nullptr, units);
  EnergyForecast forecast;
  forecast.mean_uj = Uj(prediction.joules);
  forecast.sigma_uj = Uj(prediction.joules_sigma);
  forecast.floor_uj = Uj(predictor.FloorJoules(device_class, units));
  // What is expected of this client can always be booked.
  if (const double most = predictor.CeilingJoules(device_class, units); most > 0) {
    forecast.ceiling_uj = std::max(
        {Uj(most), forecast.floor_uj, Uj(prediction.joules + 2 * prediction.joules_sigma)});
  }
  // Of a number of examples that nobody knows the least is assumed, which bounds no claim.
  const bool known = (!evaluation && setup.spec.plan.local_steps > 0) ||
                     (dataset != nullptr && dataset->example_count_bucket > 0);
  if (known) forecast.units = units;
  forecast.by_prior = prediction.basis != CostBasis::kOwnHistory;
  forecast.device_class = device_class;
  return forecast;
}

absl::Status CheckBudgetFits(const JobSetup& setup, const std::optional<CarbonIntensity>& carbon) {
  const BudgetLimits limits = LimitsOf(setup.spec.budget);
  if (!limits.any()) return absl::OkStatus();
  if (limits.micrograms.any() && !carbon) {
    return absl::FailedPreconditionError(
        "budget.gco2e: the carbon source has no figure now, so grams cannot be counted; try again "
        "when it answers, or write source = \"table\" under [carbon]");
  }
  // The least of a device of no class is what any class may use.
  const double units = UnitsOf(setup, false, 0);
  const EnergyForecast least{Uj(AssumedCosts(setup).FloorJoules("", units)), 0, 0, 0, true, ""};
  const uint32_t clients = setup.Limits(false).min_reports;
  BudgetBook round(limits);
  for (uint32_t i = 0; i < clients; ++i) {
    Reservation reservation{absl::StrCat(i), absl::StrCat(i), 1, 0, least, carbon};
    const auto refusal = round.Reserve(reservation);
    if (!refusal) continue;
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s: below one round, which needs %d reports of at least about %.3g J each (%.3g J in "
        "all); raise the limit, or lower round.min_reports or the work of the plan",
        refusal->reason, clients, static_cast<double>(least.mean_uj) / kMicro,
        static_cast<double>(least.mean_uj) / kMicro * clients));
  }
  return absl::OkStatus();
}

JobBudget::JobBudget(std::shared_ptr<const JobSetup> setup, std::shared_ptr<CarbonSource> carbon)
    : setup_(std::move(setup)), carbon_(std::move(carbon)), book_(LimitsOf(setup_->spec.budget)) {}

void JobBudget::Restore(const std::vector<BudgetEntry>& entries) {
  for (const BudgetEntry& entry : entries) {
    book_.Restore(entry.reservation, entry.booked);
    if (!entry.reservation.client.empty()) {
      last_reserved_uj_[entry.reservation.client] = entry.reservation.reserved_uj();
    }
  }
}

bool JobBudget::LimitsClients() const {
  const BudgetLimits& limits = book_.limits();
  return limits.uj.client > 0 || limits.micrograms.client > 0;
}

bool JobBudget::SpentOut(const std::string& client) const {
  if (!LimitsClients()) return false;
  const BudgetLimits& limits = book_.limits();
  const auto last = last_reserved_uj_.find(client);
  if (last == last_reserved_uj_.end()) return false;
  const BudgetSums spent = book_.OfClient(client);
  const bool joules =
      limits.uj.client > 0 && spent.booked_uj + spent.reserved_uj + last->second > limits.uj.client;
  // Grams depend on the hour: only what is spent leaves a client out, Reserve looks at the rest.
  return joules || (limits.micrograms.client > 0 &&
                    spent.booked_ug + spent.reserved_ug >= limits.micrograms.client);
}

JobBudget::Choice JobBudget::Reserve(const RoundKey& key, const std::vector<Offer>& offers,
                                     const CostPredictor& predictor,
                                     const std::unordered_map<std::string, CostPrediction>& costs,
                                     int64_t now_ms) {
  Choice choice;
  forecasts_.clear();
  figure_ = CarbonAt(now_ms);
  for (size_t i = 0; i < offers.size(); ++i) {
    const auto cost = costs.find(offers[i].client);
    Reservation reservation;
    reservation.assignment = MakeAssignmentId(key, static_cast<uint32_t>(choice.kept.size()));
    reservation.client = offers[i].client;
    reservation.round = key.round;
    reservation.at_ms = now_ms;
    reservation.carbon = figure_;
    reservation.forecast =
        ForecastOf(*setup_, key.evaluation, offers[i], predictor,
                   cost == costs.end() ? std::nullopt : std::make_optional(cost->second));
    last_reserved_uj_[offers[i].client] = reservation.reserved_uj();
    if (auto refusal = book_.Reserve(reservation)) {
      if (!choice.refusal || refusal->scope < choice.refusal->scope) {
        choice.refusal = std::move(refusal);
      }
      continue;
    }
    choice.kept.push_back(i);
    forecasts_.push_back(reservation.forecast);
  }
  return choice;
}

void JobBudget::Confirm(ClientsAssigned* record) {
  if (forecasts_.size() != record->clients.size()) return;
  record->forecasts = forecasts_;
  record->carbon = figure_;
  // As the store has it: a restart must find the same book.
  for (uint32_t i = 0; i < record->clients.size(); ++i) {
    const Reservation reservation = ReservationOf(*record, i);
    book_.Release(reservation.assignment);
    book_.Restore(reservation, std::nullopt);
  }
}

void JobBudget::Drop() {
  for (const std::string& open : book_.Open()) book_.Release(open);
}

void JobBudget::OnReport(const std::string& assignment, const Report& report, int64_t now_ms) {
  book_.Settle(assignment, report, now_ms);
}

void JobBudget::End() {
  for (const std::string& open : book_.Open()) book_.Silence(open);
}

BudgetView JobBudget::View() const {
  const BudgetSums& sums = book_.job();
  BudgetView view{sums.booked_uj,
                  sums.reserved_uj,
                  book_.estimated_uj(),
                  sums.booked_ug,
                  sums.reserved_ug,
                  book_.joules_without_grams_uj(),
                  "",
                  book_.raised(),
                  book_.capped()};
  if (book_.carbon_kind()) view.carbon = CarbonKindText(*book_.carbon_kind());
  return view;
}

std::optional<CarbonIntensity> JobBudget::CarbonAt(int64_t now_ms) const {
  if (carbon_ == nullptr) return std::nullopt;
  auto figure = carbon_->At(now_ms);
  if (!figure.ok()) return std::nullopt;
  return *std::move(figure);
}

bool JobBudget::FitsAnotherDay(const BudgetRefusal& refusal, int64_t now_ms) const {
  const BudgetSums today = book_.OfDay(now_ms);
  return refusal.scope == BudgetScope::kDay && today.booked_uj + today.reserved_uj > 0;
}

std::optional<JobBudget::Pause> JobBudget::PauseAt(int64_t now_ms, int64_t created_ms) const {
  const JobSpec::Carbon& carbon = setup_->spec.carbon;
  if (carbon.pause_above <= 0) return std::nullopt;
  const int64_t latest_ms = created_ms + std::llround(carbon.pause_max_s * 1000);
  if (now_ms >= latest_ms) return std::nullopt;
  const auto figure = CarbonAt(now_ms);
  if (!figure || figure->stale || figure->g_per_kwh <= carbon.pause_above) return std::nullopt;
  return Pause{std::min(now_ms + kLookAgainMs, latest_ms),
               absl::StrFormat("waiting for cleaner hours: %.4g g/kWh now, above "
                               "carbon.pause_above = %.4g",
                               figure->g_per_kwh, carbon.pause_above)};
}

int64_t JobBudget::NextDayMs(int64_t now_ms) { return (now_ms / kDayMs + 1) * kDayMs; }

}  // namespace fedwatt
