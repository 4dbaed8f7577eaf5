#include "server/cli/ledger_text.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/crypto/x509.h"
#include "common/wire/schema_words.h"
#include "server/cli/text_table.h"

namespace fedwatt::cli {
namespace {

constexpr double kMicro = 1e6;
constexpr double kMicrojoulesPerKwh = 3.6e12;
constexpr double kMicrogramsPerKilogram = 1e9;

std::string QualityWord(v1::EnergyQuality quality) {
  return wire::EnumWord(*v1::EnergyQuality_descriptor()->FindValueByNumber(quality));
}

std::string ScopeWord(v1::EnergyScope scope) {
  return wire::EnumWord(*v1::EnergyScope_descriptor()->FindValueByNumber(scope));
}

// What the sum is of, by what was asked: "train", "r3", "2026-01-31", a pseudonym, or "all".
std::string Subject(const v1::EnergySum& sum) {
  if (sum.phase() != v1::PHASE_UNSPECIFIED) {
    return wire::EnumWord(*v1::Phase_descriptor()->FindValueByNumber(sum.phase()));
  }
  if (sum.has_round()) return absl::StrCat(sum.evaluation() ? "e" : "r", sum.round());
  if (sum.has_day_ms()) return UtcTime(sum.day_ms()).substr(0, 10);
  // Nobody's name: the forgotten, the coordinator, or all that was asked for.
  const std::string who = sum.client().empty() ? "all" : sum.client();
  return sum.evaluation() ? absl::StrCat(who, " (evaluating)") : who;
}

// All samples lack a figure: there is no energy, which is not zero.
bool HasEnergy(const v1::EnergySum& sum) { return sum.samples() > sum.unavailable(); }

std::string Cell(const std::string& text) {
  std::string cell = text;
  // A meter's name comes from a device; a spreadsheet must not take it for a formula.
  if (!cell.empty() && std::string("=+-@\t\r").find(cell[0]) != std::string::npos) {
    cell.insert(0, "'");
  }
  if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) absl::StrAppend(&quoted, c == '"' ? "\"\"" : std::string(1, c));
  return quoted + "\"";
}

std::string Row(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = Cell(cell);
  return absl::StrCat(absl::StrJoin(cells, ","), "\n");
}

std::string Number(double value) { return absl::StrFormat("%.9g", value); }

bool IsCpuMeter(const std::string& source) {
  return absl::StartsWith(source, "rapl") || absl::StartsWith(source, "perf") ||
         absl::StartsWith(source, "cpu_time");
}
bool IsGpuMeter(const std::string& source) { return absl::StartsWith(source, "nvml"); }

constexpr const char* kCodeCarbonColumns[] = {
    "timestamp",      "project_name",       "run_id",         "experiment_id",
    "duration",       "emissions",          "emissions_rate", "cpu_power",
    "gpu_power",      "ram_power",          "cpu_energy",     "gpu_energy",
    "ram_energy",     "energy_consumed",    "country_name",   "country_iso_code",
    "region",         "cloud_provider",     "cloud_region",   "os",
    "python_version", "codecarbon_version", "cpu_count",      "cpu_model",
    "gpu_count",      "gpu_model",          "longitude",      "latitude",
    "ram_total_size", "tracking_mode",      "on_cloud",       "pue"};

using Columns = std::map<std::string, std::string>;

void FillFigures(const v1::EnergySum& sum, const v1::RoundSummary* round, Columns* columns) {
  const double seconds =
      round == nullptr ? 0 : static_cast<double>(round->ended_ms() - round->started_ms()) / 1000;
  if (round != nullptr) {
    (*columns)["timestamp"] = UtcTime(round->ended_ms());
    (*columns)["duration"] = Number(seconds);
  }
  if (!HasEnergy(sum)) return;
  const double kwh = static_cast<double>(sum.energy_uj()) / kMicrojoulesPerKwh;
  (*columns)["energy_consumed"] = Number(kwh);
  const char* part =
      IsCpuMeter(sum.source()) ? "cpu" : (IsGpuMeter(sum.source()) ? "gpu" : nullptr);
  if (part != nullptr) {
    (*columns)[absl::StrCat(part, "_energy")] = Number(kwh);
    if (sum.duration_us() > 0) {  // microjoules by microseconds are watts
      (*columns)[absl::StrCat(part, "_power")] =
          Number(static_cast<double>(sum.energy_uj()) / static_cast<double>(sum.duration_us()));
    }
  }
  if (sum.carbon().empty()) return;
  const double kilograms = static_cast<double>(sum.micrograms()) / kMicrogramsPerKilogram;
  (*columns)["emissions"] = Number(kilograms);
  if (seconds > 0) (*columns)["emissions_rate"] = Number(kilograms / seconds);
}

}  // namespace

std::string UnbelievedText(const v1::Job& job) {
  const v1::BudgetStatus& budget = job.budget();
  std::vector<std::string> parts;
  const auto say = [&parts](uint64_t reports, const char* how) {
    if (reports > 0) parts.push_back(absl::StrCat(reports, " ", how));
  };
  say(budget.raised(), "below what their class needs at least, booked at that");
  say(budget.capped(), "above what their class can spend, booked at that");
  if (parts.empty()) return "";
  return absl::StrCat("Claims not believed: ", absl::StrJoin(parts, "; "),
                      ". The ledger keeps them as they were claimed, budgets and selection do not; "
                      "the coordinator's log names them.\n");
}

std::string EnergyTable(const v1::QueryEnergyResponse& answer) {
  std::vector<std::vector<std::string>> rows = {{"of", "party", "use", "source", "quality", "scope",
                                                 "joules", "sigma", "gCO2", "kind of grams",
                                                 "samples", "without figure"}};
  for (const v1::EnergySum& sum : answer.sums()) {
    const bool energy = HasEnergy(sum);
    const bool grams = energy && !sum.carbon().empty();
    rows.push_back(
        {Subject(sum), sum.party(), sum.use(), sum.source(), QualityWord(sum.quality()),
         ScopeWord(sum.scope()),
         energy ? absl::StrFormat("%.4g", static_cast<double>(sum.energy_uj()) / kMicro) : "-",
         energy ? absl::StrFormat("%.2g", static_cast<double>(sum.sigma_uj()) / kMicro) : "-",
         grams ? absl::StrFormat("%.4g", static_cast<double>(sum.micrograms()) / kMicro) : "-",
         sum.carbon().empty()
             ? "-"
             : absl::StrCat(sum.carbon(),
                            sum.stale_micrograms() > 0 ? ", some by stale figures" : ""),
         absl::StrCat(sum.samples()), absl::StrCat(sum.unavailable())});
  }
  if (rows.size() == 1) return "the ledger has nothing of that\n";
  return absl::StrCat(TextTable(rows), UnbelievedText(answer.job()));
}

std::string EnergyCsv(const v1::QueryEnergyResponse& answer) {
  std::string csv =
      "job,of,party,use,source,quality,scope,energy_uj,sigma_uj,micrograms,stale_micrograms,"
      "carbon,samples,unavailable,duration_us,bytes\n";
  for (const v1::EnergySum& sum : answer.sums()) {
    const bool energy = HasEnergy(sum);
    const bool grams = energy && !sum.carbon().empty();
    csv += Row({answer.job().id(), Subject(sum), sum.party(), sum.use(), sum.source(),
                QualityWord(sum.quality()), ScopeWord(sum.scope()),
                energy ? absl::StrCat(sum.energy_uj()) : "",
                energy ? absl::StrCat(sum.sigma_uj()) : "",
                grams ? absl::StrCat(sum.micrograms()) : "",
                grams ? absl::StrCat(sum.stale_micrograms()) : "", sum.carbon(),
                absl::StrCat(sum.samples()), absl::StrCat(sum.unavailable()),
                absl::StrCat(sum.duration_us()), absl::StrCat(sum.bytes())});
  }
  return csv;
}

std::string CodeCarbonCsv(const v1::QueryEnergyResponse& answer) {
  std::map<uint64_t, const v1::RoundSummary*> rounds;
  for (const v1::RoundSummary& round : answer.job().rounds()) rounds[round.key().round()] = &round;
  const std::string& region = answer.job().spec().carbon().region();
  std::string csv = absl::StrCat(absl::StrJoin(kCodeCarbonColumns, ","), "\n");
  for (const v1::EnergySum& sum : answer.sums()) {
    Columns columns;
    columns["project_name"] = answer.job().spec().name();
    columns["run_id"] = answer.job().id();
    columns["experiment_id"] =
        absl::StrJoin({Subject(sum), sum.party(), sum.source(), QualityWord(sum.quality()),
                       ScopeWord(sum.scope()), sum.use()},
                      "/");
    columns["region"] = region;
    if (region.size() == 2) columns["country_iso_code"] = region;
    columns["tracking_mode"] = sum.scope() == v1::ENERGY_SCOPE_PROCESS ? "process" : "machine";
    const auto round = rounds.find(sum.round());
    FillFigures(sum, round == rounds.end() ? nullptr : round->second, &columns);
    std::vector<std::string> cells;
    for (const char* name : kCodeCarbonColumns) cells.push_back(columns[name]);
    csv += Row(std::move(cells));
  }
  return csv;
}

}  // namespace fedwatt::cli
