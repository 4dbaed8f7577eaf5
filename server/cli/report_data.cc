#include "server/cli/report_data.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/wire/schema_words.h"

namespace fedwatt::cli {
namespace {

constexpr double kMicro = 1e-6;

template <typename Enum>
std::string Word(const google::protobuf::EnumDescriptor* type, Enum value) {
  const auto* found = type->FindValueByNumber(static_cast<int>(value));
  return found == nullptr ? "?" : wire::EnumWord(*found);
}

void Add(const v1::EnergyTotal& from, Spent* to) {
  to->useful_j += static_cast<double>(from.useful_uj()) * kMicro;
  to->wasted_j += static_cast<double>(from.wasted_uj()) * kMicro;
  to->samples += from.samples();
  to->unavailable += from.unavailable();
}

void Add(const v1::EnergySum& from, Spent* to) {
  const double joules = static_cast<double>(from.energy_uj()) * kMicro;
  (from.use() == "wasted" ? to->wasted_j : to->useful_j) += joules;
  to->sigma_j += static_cast<double>(from.sigma_uj()) * kMicro;
  to->samples += from.samples();
  to->unavailable += from.unavailable();
}

EnergyKind KindOf(const v1::EnergyTotal& total) {
  return {.quality = total.quality(), .source = total.source(), .scope = total.scope()};
}

EnergyKind KindOf(const v1::EnergySum& sum) {
  return {
      .party = sum.party(), .quality = sum.quality(), .source = sum.source(), .scope = sum.scope()};
}

using Kinds = std::map<EnergyKind, KindFigures>;

void AddRounds(const v1::QueryEnergyResponse& answer, Kinds* kinds) {
  for (const v1::EnergySum& sum : answer.sums()) {
    KindFigures& figures = (*kinds)[KindOf(sum)];
    Add(sum, &figures.total);
    Add(sum, &figures.rounds[sum.round()]);
    if (sum.carbon().empty()) {
      figures.without_grams_j += static_cast<double>(sum.energy_uj()) * kMicro;
      continue;
    }
    Grams& grams = figures.grams[sum.carbon()];
    const double grams_now = static_cast<double>(sum.micrograms()) * kMicro;
    grams.total_g += grams_now;
    grams.stale_g += static_cast<double>(sum.stale_micrograms()) * kMicro;
    grams.rounds[sum.round()] += grams_now;
  }
}

// What the job itself knows of its rounds, without a ledger.
void AddRounds(const v1::Job& job, Kinds* kinds) {
  for (const v1::EnergyTotal& total : job.energy()) {
    KindFigures& figures = (*kinds)[KindOf(total)];
    Add(total, &figures.total);
    figures.without_grams_j = figures.total.joules();
  }
  for (const v1::RoundSummary& round : job.rounds()) {
    for (const v1::EnergyTotal& total : round.energy()) {
      Add(total, &(*kinds)[KindOf(total)].rounds[round.key().round()]);
    }
  }
}

void AddClients(const v1::QueryEnergyResponse& answer, Kinds* kinds, ReportData* report) {
  std::map<EnergyKind, std::map<std::string, Spent>> spent;
  std::set<std::string> devices;
  std::map<EnergyKind, std::set<std::string>> evaluators;
  const bool apart = report->job.spec().evaluation().where() != "clients";
  for (const v1::EnergySum& sum : answer.sums()) {
    // Without a pseudonym it is of forgotten clients, together: no one device's figure.
    if (sum.party() != "clients" || sum.client().empty()) continue;
    if (apart && sum.evaluation()) {
      if (sum.samples() > sum.unavailable()) evaluators[KindOf(sum)].insert(sum.client());
      continue;
    }
    devices.insert(sum.client());
    Add(sum, &spent[KindOf(sum)][sum.client()]);
  }
  report->devices = devices.size();
  for (const auto& [kind, judges] : evaluators) (*kinds)[kind].evaluators = judges.size();
  for (auto& [kind, clients] : spent) {
    std::vector<ClientSpent>& sorted = (*kinds)[kind].clients;
    for (auto& [client, figures] : clients) {
      if (figures.known()) sorted.push_back({client, figures});
    }
    std::stable_sort(sorted.begin(), sorted.end(), [](const ClientSpent& a, const ClientSpent& b) {
      return a.spent.joules() < b.spent.joules();
    });
  }
}

std::optional<double> MetricOf(const v1::MetricSummary& metrics, const std::string& name) {
  if (name == "accuracy") {
    return metrics.has_accuracy() ? std::optional<double>(metrics.accuracy()) : std::nullopt;
  }
  if (name == "loss") {
    return metrics.has_loss() ? std::optional<double>(metrics.loss()) : std::nullopt;
  }
  const auto found = metrics.named().find(name);
  return found == metrics.named().end() ? std::nullopt : std::optional<double>(found->second);
}

void Keep(std::optional<double> value, uint64_t round, std::map<uint64_t, double>* series) {
  if (value && std::isfinite(*value)) (*series)[round] = *value;
}

Burndown BurndownOf(const v1::Job& job, const std::string& unit, double limit, int64_t booked,
                    int64_t reserved, int64_t (v1::RoundSummary::*booked_then)() const) {
  Burndown burndown{.unit = unit,
                    .limit = limit,
                    .booked = static_cast<double>(booked) * kMicro,
                    .reserved = static_cast<double>(reserved) * kMicro};
  for (const v1::RoundSummary& round : job.rounds()) {
    burndown.left[round.key().round()] =
        limit - static_cast<double>((round.*booked_then)()) * kMicro;
  }
  return burndown;
}

}  // namespace

std::string KindText(const EnergyKind& kind) {
  return absl::StrCat(kind.party == "coordinator" ? "coordinator, " : "",
                      Word(v1::EnergyQuality_descriptor(), kind.quality), " (", kind.source, ", ",
                      Word(v1::EnergyScope_descriptor(), kind.scope), ")");
}

std::string PhaseText(v1::Phase phase) {
  return phase == v1::PHASE_UNSPECIFIED ? "no phase" : Word(v1::Phase_descriptor(), phase);
}

uint64_t ReportData::missing_samples() const {
  uint64_t sum = 0;
  for (const auto& [source, samples] : missing) sum += samples;
  return sum;
}

ReportData ArrangeReport(const v1::Job& job, const LedgerAnswers& ledger) {
  ReportData report{.job = job,
                    .has_phases = ledger.by_phase.has_value(),
                    .has_clients = ledger.by_client.has_value()};
  Kinds kinds;
  if (ledger.by_round) {
    AddRounds(*ledger.by_round, &kinds);
  } else {
    AddRounds(job, &kinds);
  }
  if (ledger.by_phase) {
    for (const v1::EnergySum& sum : ledger.by_phase->sums()) {
      Add(sum, &kinds[KindOf(sum)].phases[sum.phase()]);
    }
  }
  if (ledger.by_client) AddClients(*ledger.by_client, &kinds, &report);
  for (auto& [kind, figures] : kinds) {
    if (kind.party == "clients" && figures.total.unavailable > 0) {
      report.missing[kind.source] += figures.total.unavailable;
    }
    if (!figures.total.known()) continue;
    figures.kind = kind;
    report.has_grams = report.has_grams || !figures.grams.empty();
    report.kinds.push_back(std::move(figures));
  }
  return report;
}

MetricSeries MetricOverRounds(const v1::Job& job, const std::string& name) {
  MetricSeries series{.name = name, .is_share = name == "accuracy"};
  for (const v1::RoundSummary& round : job.rounds()) {
    if (round.has_evaluation()) {
      Keep(MetricOf(round.evaluation(), name), round.key().round(), &series.held_out);
    }
    Keep(MetricOf(round.train_after(), name), round.key().round(), &series.on_clients);
  }
  return series;
}

Spread SpreadOf(const std::vector<ClientSpent>& clients) {
  if (clients.empty()) return {};
  const auto at = [&](double share) {
    const auto last = static_cast<double>(clients.size() - 1);
    return clients[static_cast<size_t>(std::lround(share * last))].spent.joules();
  };
  Spread spread{
      .least = at(0), .tenth = at(0.1), .median = at(0.5), .ninetieth = at(0.9), .most = at(1)};
  const size_t tenth = (clients.size() + 9) / 10;
  double all = 0;
  double top = 0;
  for (size_t i = 0; i < clients.size(); ++i) {
    const double joules = clients[i].spent.joules();
    all += joules;
    if (i + tenth >= clients.size()) top += joules;
  }
  spread.top_tenth_share = all > 0 ? top / all : 0;
  return spread;
}

std::vector<Burndown> BurndownsOf(const v1::Job& job) {
  const v1::BudgetSpec& limits = job.spec().budget();
  const v1::BudgetStatus& budget = job.budget();
  std::vector<Burndown> burndowns;
  if (limits.joules() > 0) {
    burndowns.push_back(BurndownOf(job, "J", limits.joules(), budget.booked_uj(),
                                   budget.reserved_uj(), &v1::RoundSummary::booked_uj));
  }
  if (limits.gco2e() > 0) {
    burndowns.push_back(BurndownOf(job, "g", limits.gco2e(), budget.booked_ug(),
                                   budget.reserved_ug(), &v1::RoundSummary::booked_ug));
  }
  return burndowns;
}

std::vector<std::string> OtherLimits(const v1::Job& job) {
  const v1::BudgetSpec& limits = job.spec().budget();
  const std::pair<const char*, double> others[] = {
      {"joules_per_round", limits.joules_per_round()},
      {"joules_per_client", limits.joules_per_client()},
      {"joules_per_day", limits.joules_per_day()},
      {"gco2e_per_round", limits.gco2e_per_round()},
      {"gco2e_per_client", limits.gco2e_per_client()},
      {"gco2e_per_day", limits.gco2e_per_day()},
      {"money", limits.money()},
  };
  std::vector<std::string> words;
  for (const auto& [name, limit] : others) {
    if (limit > 0) words.push_back(absl::StrFormat("%s = %g", name, limit));
  }
  return words;
}

}  // namespace fedwatt::cli
