#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fedwatt/v1/admin_service.pb.h"

// A job's figures, arranged for people. Joules stand under their kind from here on, so that no view
// of the report can add what law 6 keeps apart. Pure functions.
namespace fedwatt::cli {

// What must agree before joules are added.
struct EnergyKind {
  std::string party = "clients";  // or "coordinator"
  v1::EnergyQuality quality = v1::ENERGY_QUALITY_UNSPECIFIED;
  std::string source;
  v1::EnergyScope scope = v1::ENERGY_SCOPE_UNSPECIFIED;

  auto operator<=>(const EnergyKind&) const = default;
};

// "estimated (cpu_time, process)"; of the coordinator: "coordinator, estimated (...)".
std::string KindText(const EnergyKind& kind);

// The word of `phase` in job files and --json; "no phase" where a sample has none.
std::string PhaseText(v1::Phase phase);

struct Spent {
  double useful_j = 0;
  double wasted_j = 0;
  double sigma_j = 0;  // an upper bound; 0: not told
  uint64_t samples = 0;
  uint64_t unavailable = 0;  // of these: without a figure

  double joules() const { return useful_j + wasted_j; }
  bool known() const { return samples > unavailable; }
};

struct ClientSpent {
  std::string client;  // pseudonym
  Spent spent;
};

// Grams of one kind of intensity ("average lifecycle CO2e location").
struct Grams {
  double total_g = 0;
  double stale_g = 0;  // of these: by figures that were out of date
  std::map<uint64_t, double> rounds;
};

struct KindFigures {
  EnergyKind kind;
  Spent total;
  std::map<uint64_t, Spent> rounds;
  std::map<v1::Phase, Spent> phases;   // empty: not known
  std::vector<ClientSpent> clients;    // least joules first; empty: not known
  uint64_t evaluators = 0;             // that have joules of this kind; none is among the clients
  std::map<std::string, Grams> grams;  // by kind of intensity; empty: none
  double without_grams_j = 0;
};

// What the ledger was asked; an absent answer means that the coordinator cannot say.
struct LedgerAnswers {
  std::optional<v1::QueryEnergyResponse> by_phase;
  std::optional<v1::QueryEnergyResponse> by_client;
  std::optional<v1::QueryEnergyResponse> by_round;
};

struct ReportData {
  v1::Job job;
  std::vector<KindFigures> kinds;           // those with a figure; devices first, measured first
  std::map<std::string, uint64_t> missing;  // samples of devices without a figure, by source
  uint64_t devices = 0;                     // that reported joules or a lack of them; 0: not known
  bool has_phases = false;                  // whether the coordinator could say
  bool has_clients = false;
  bool has_grams = false;

  uint64_t missing_samples() const;
};

ReportData ArrangeReport(const v1::Job& job, const LedgerAnswers& ledger);

// The metric that the job stops by, over rounds: of the held-out evaluation, and of clients on
// their own data after training.
struct MetricSeries {
  std::string name;
  bool is_share = false;  // accuracy: 0..1, shown in percent
  std::map<uint64_t, double> held_out;
  std::map<uint64_t, double> on_clients;

  bool empty() const { return held_out.empty() && on_clients.empty(); }
};
MetricSeries MetricOverRounds(const v1::Job& job, const std::string& name);

// How joules spread over clients, which are sorted.
struct Spread {
  double least = 0, tenth = 0, median = 0, ninetieth = 0, most = 0;
  double top_tenth_share = 0;  // what the tenth of the clients that spent most has spent
};
Spread SpreadOf(const std::vector<ClientSpent>& clients);

// One limit of the job's budget that lasts the whole job.
struct Burndown {
  std::string unit;  // "J", "g"
  double limit = 0;
  double booked = 0;
  double reserved = 0;
  std::map<uint64_t, double> left;  // at the end of each round
};
std::vector<Burndown> BurndownsOf(const v1::Job& job);

// The other limits as "joules_per_round = 50", in the order of the schema.
std::vector<std::string> OtherLimits(const v1::Job& job);

}  // namespace fedwatt::cli
