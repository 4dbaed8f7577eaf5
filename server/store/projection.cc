#include "server/store/projection.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "server/ledger/energy_ledger.h"
#include "server/store/client_history.h"

namespace fedwatt {
namespace {

constexpr char kLate[] = "late: the round went on without it";

std::string JobOf(const LogRecord& record) {
  return std::visit([](const auto& kind) { return kind.key.job; }, record);
}

bool IsOpen(AssignmentState state) {
  return state == AssignmentState::kAssigned || state == AssignmentState::kReported;
}

// The coordinator's rows name no client, either; its party keeps them apart.
absl::Status AddToClients(const JobScope& scope, const std::vector<EnergyRow>& rows,
                          Tables& tables) {
  std::map<EnergyLabel, EnergyFigures> cells;
  int64_t at_ms = 0;
  for (const EnergyRow& row : rows) {
    EnergySum cell = CellOf(row);
    EnergyLabel label;
    label.party = cell.label.party;
    label.source = std::move(cell.label.source);
    label.quality = cell.label.quality;
    label.scope = cell.label.scope;
    label.use = cell.label.use;
    label.carbon = std::move(cell.label.carbon);
    label.evaluation = cell.label.evaluation;
    label.client = row.client;
    AddFigures(cell.figures, &cells[label]);
    at_ms = std::max(at_ms, row.at_ms);
  }
  std::vector<EnergySum> sums;
  for (auto& [label, figures] : cells) sums.push_back({label, figures});
  return tables.AddClientSums(scope, sums, at_ms);
}

// Rows that have their use now.
absl::Status AddToTotals(const JobScope& scope, const std::vector<EnergyRow>& rows,
                         Tables& tables) {
  if (rows.empty()) return absl::OkStatus();
  std::map<EnergyLabel, EnergyFigures> cells;
  for (const EnergyRow& row : rows) {
    const EnergySum cell = CellOf(row);
    AddFigures(cell.figures, &cells[cell.label]);
  }
  std::vector<EnergySum> sums;
  for (auto& [label, figures] : cells) sums.push_back({label, figures});
  FW_RETURN_IF_ERROR(tables.AddSums(scope, sums));
  FW_RETURN_IF_ERROR(AddToClients(scope, rows, tables));
  FW_ASSIGN_OR_RETURN(std::vector<EnergyTotal> totals, tables.LoadTotals(scope));
  for (const EnergyRow& row : rows) {
    if (row.index == kCoordinatorIndex) continue;
    AddSample(row.sample, row.use == EnergyUse::kUseful ? JouleUse::kUseful : JouleUse::kWasted,
              &totals);
  }
  return tables.PutTotals(scope, totals);
}

absl::Status BookEnergy(const JobScope& scope, EnergyRow row,
                        const std::vector<EnergySample>& claimed,
                        const std::optional<CarbonIntensity>& carbon, Tables& tables) {
  if (claimed.empty()) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const std::vector<EnergySample> booked,
                      tables.LoadEnergy(scope, row.key, row.index));
  if (carbon) row.carbon = CarbonKindText(carbon->kind);
  row.part = static_cast<uint32_t>(booked.size());
  std::vector<EnergyRow> added;
  for (EnergySample& sample : NotBookedYet(BookSamples(claimed).samples, booked)) {
    if (row.part == bounds::kMaxEnergySamples) break;
    const EnergyFigures figures = FiguresOf(sample, carbon);
    row.micrograms = figures.micrograms;
    row.stale_micrograms = figures.stale_micrograms;
    row.sample = std::move(sample);
    FW_RETURN_IF_ERROR(tables.AddEnergy(scope, row));
    added.push_back(row);
    ++row.part;
  }
  if (row.use == EnergyUse::kPending) return absl::OkStatus();
  return AddToTotals(scope, added, tables);
}

absl::Status SettleEnergy(const JobScope& scope, const RoundKey& key, std::optional<uint32_t> index,
                          EnergyUse use, Tables& tables) {
  FW_ASSIGN_OR_RETURN(std::vector<EnergyRow> settled, tables.SettleEnergy(scope, key, index, use));
  for (EnergyRow& row : settled) row.use = use;
  return AddToTotals(scope, settled, tables);
}

// What the report of a reserved assignment books; the first report counts, and one that comes after
// its reservation was booked by silence.
absl::Status SettleReservation(const JobScope& scope, const RoundKey& key, uint32_t index,
                               const std::optional<BudgetEntry>& entry, const Report& report,
                               int64_t now_ms, Tables& tables) {
  if (!entry || (entry->booked && entry->booked->by != BookedBy::kSilence)) {
    return absl::OkStatus();
  }
  const EnergyForecast forecast = ForecastAt(entry->reservation, now_ms);
  const EnergyClaim claim = ClaimOf(report, forecast.device_class);
  return tables.SetBooked(scope, key, index, SettledBy(forecast, claim));
}

// An attempt that has ended: what its samples were good for, what the silent reserved, what the
// coordinator spent on it itself.
absl::Status EndAttempt(const JobScope& scope, const RoundKey& key, EnergyUse use,
                        const std::vector<EnergySample>& coordinator,
                        const std::optional<CarbonIntensity>& carbon, int64_t now_ms,
                        Tables& tables) {
  FW_RETURN_IF_ERROR(SettleEnergy(scope, key, std::nullopt, use, tables));
  FW_RETURN_IF_ERROR(tables.SilenceReservations(scope, key));
  EnergyRow row{.key = key, .index = kCoordinatorIndex, .use = use, .at_ms = now_ms};
  return BookEnergy(scope, row, coordinator, carbon, tables);
}

std::optional<CarbonIntensity> CarbonOf(const std::optional<BudgetEntry>& entry) {
  return entry ? entry->reservation.carbon : std::nullopt;
}

absl::Status NoteParticipation(const JobScope& scope, const std::string& client,
                               const ReportAccepted& record,
                               const std::optional<BudgetEntry>& reserved, Tables& tables) {
  FW_ASSIGN_OR_RETURN(std::optional<ClientHistory> history, tables.GetHistory(scope, client));
  if (!history) history = ClientHistory{.client = client};
  AddParticipation({record.key.round, record.device_class,
                    reserved ? &reserved->reservation : nullptr, record.now_ms, record.sketch},
                   record.report, &*history);
  return tables.PutHistory(scope, *history, record.now_ms);
}

// The row of an evaluated round also holds what the evaluation cost.
void MergeEvaluation(const RoundSummary& evaluation, RoundSummary* round) {
  if (evaluation.evaluation) round->evaluation = evaluation.evaluation;
  round->bytes_down += evaluation.bytes_down;
  round->bytes_up += evaluation.bytes_up;
  round->booked_uj = evaluation.booked_uj;
  round->booked_ug = evaluation.booked_ug;
  AddTotals(evaluation.energy, &round->energy);
  for (const auto& [phase, seconds] : evaluation.seconds_by_phase) {
    round->seconds_by_phase[phase] += seconds;
  }
}

absl::Status OnRecord(const JobScope& scope, const AttemptBegan& record, Tables& tables) {
  return tables.AppendLog(scope, record);
}

absl::Status OnRecord(const JobScope& scope, const ClientsAssigned& record, Tables& tables) {
  for (uint32_t index = 0; index < record.clients.size(); ++index) {
    AssignmentRecord assignment;
    assignment.id = MakeAssignmentId(record.key, index);
    assignment.key = record.key;
    assignment.index = index;
    assignment.client = record.clients[index];
    if (index < record.codecs.size()) assignment.codec = record.codecs[index];
    if (index < record.codec_reasons.size()) assignment.codec_reason = record.codec_reasons[index];
    FW_RETURN_IF_ERROR(tables.AddAssignment(scope, assignment, record.now_ms));
    if (index >= record.forecasts.size()) continue;
    FW_RETURN_IF_ERROR(
        tables.AddReservation(scope, record.key, index, ReservationOf(record, index)));
  }
  return tables.AppendLog(scope, record);
}

absl::Status OnRecord(const JobScope& scope, const ReportAccepted& record, Tables& tables) {
  FW_ASSIGN_OR_RETURN(const std::optional<AssignmentRecord> assignment,
                      tables.GetAssignment(scope, record.key, record.index));
  EnergyRow row{.key = record.key, .index = record.index, .at_ms = record.now_ms};
  if (assignment) row.client = assignment->client;
  const bool open = assignment && IsOpen(assignment->state);
  row.use = open ? EnergyUse::kPending : EnergyUse::kWasted;
  FW_ASSIGN_OR_RETURN(const std::optional<BudgetEntry> reserved,
                      tables.GetReservation(scope, record.key, record.index));
  FW_RETURN_IF_ERROR(BookEnergy(scope, row, record.report.energy, CarbonOf(reserved), tables));
  FW_RETURN_IF_ERROR(SettleReservation(scope, record.key, record.index, reserved, record.report,
                                       record.now_ms, tables));
  if (!open || assignment->state == AssignmentState::kReported) return absl::OkStatus();
  FW_RETURN_IF_ERROR(
      tables.SetAssignment(scope, record.key, record.index, AssignmentState::kReported, ""));
  if (!record.key.evaluation && !row.client.empty()) {
    FW_RETURN_IF_ERROR(NoteParticipation(scope, row.client, record, reserved, tables));
  }
  return tables.AppendLog(scope, record);
}

absl::Status OnRecord(const JobScope& scope, const ReportRefused& record, Tables& tables) {
  FW_ASSIGN_OR_RETURN(const std::optional<AssignmentRecord> assignment,
                      tables.GetAssignment(scope, record.key, record.index));
  if (record.report) {
    EnergyRow row{.key = record.key, .index = record.index, .at_ms = record.now_ms};
    if (assignment) row.client = assignment->client;
    row.use = EnergyUse::kWasted;
    FW_ASSIGN_OR_RETURN(const std::optional<BudgetEntry> reserved,
                        tables.GetReservation(scope, record.key, record.index));
    FW_RETURN_IF_ERROR(BookEnergy(scope, row, record.report->energy, CarbonOf(reserved), tables));
    FW_RETURN_IF_ERROR(SettleReservation(scope, record.key, record.index, reserved, *record.report,
                                         record.now_ms, tables));
  }
  // What was accepted stays, unless it is taken back: then there is no report in the record.
  const bool taken_back =
      assignment && assignment->state == AssignmentState::kReported && !record.report;
  if (taken_back) {
    FW_RETURN_IF_ERROR(SettleEnergy(scope, record.key, record.index, EnergyUse::kWasted, tables));
  } else if (!assignment || assignment->state != AssignmentState::kAssigned) {
    return absl::OkStatus();
  }
  FW_RETURN_IF_ERROR(tables.SetAssignment(scope, record.key, record.index,
                                          AssignmentState::kRefused, record.reason));
  return tables.AppendLog(scope, record);
}

// Booked with the record that ends the attempt; until then it is only kept.
absl::Status OnRecord(const JobScope& scope, const CoordinatorSpent& record, Tables& tables) {
  return tables.AppendLog(scope, record);
}

absl::Status OnRecord(const JobScope& scope, const AttemptAbandoned& record, Tables& tables) {
  for (const AssignmentState from : {AssignmentState::kAssigned, AssignmentState::kReported}) {
    FW_RETURN_IF_ERROR(tables.MoveAssignments(scope, record.key, from, AssignmentState::kAbandoned,
                                              record.reason));
  }
  FW_RETURN_IF_ERROR(EndAttempt(scope, record.key, EnergyUse::kWasted, record.coordinator,
                                record.carbon, record.now_ms, tables));
  return tables.AppendLog(scope, record);
}

absl::Status OnRecord(const JobScope& scope, const RoundCommitted& record, Tables& tables) {
  const RoundKey& key = record.key;
  FW_RETURN_IF_ERROR(tables.MoveAssignments(scope, key, AssignmentState::kReported,
                                            AssignmentState::kCommitted, ""));
  FW_RETURN_IF_ERROR(tables.MoveAssignments(scope, key, AssignmentState::kAssigned,
                                            AssignmentState::kRefused, kLate));
  FW_RETURN_IF_ERROR(EndAttempt(scope, key, EnergyUse::kUseful, record.coordinator, record.carbon,
                                record.now_ms, tables));
  if (key.evaluation) {
    FW_ASSIGN_OR_RETURN(std::optional<RoundSummary> round, tables.GetRound(scope, key.round));
    if (round) {
      MergeEvaluation(record.summary, &*round);
    } else {
      round = record.summary;
    }
    FW_RETURN_IF_ERROR(tables.PutRound(scope, key.round, *round));
    return tables.AppendLog(scope, record);
  }
  FW_RETURN_IF_ERROR(tables.PutRound(scope, key.round, record.summary));
  FW_RETURN_IF_ERROR(tables.PutModel(scope, key.round, record.model));
  FW_RETURN_IF_ERROR(tables.PutCommit(scope, record));
  return tables.CompactLog(scope);
}

using Scopes = std::map<std::string, JobScope>;  // by job

// The jobs of a batch that can be applied.
absl::StatusOr<Scopes> CheckBatch(const std::vector<StoreWrite>& batch, Tables& tables) {
  Scopes known;
  for (const StoreWrite& write : batch) {
    const PutJob* put = std::get_if<PutJob>(&write);
    const std::string job = put ? put->job.id : JobOf(std::get<AppendLog>(write).record);
    if (!known.contains(job)) {
      FW_ASSIGN_OR_RETURN(const std::optional<JobScope> scope, tables.FindJob(job));
      if (scope) known[job] = *scope;
    }
    if (put == nullptr) {
      if (!known.contains(job)) {
        return absl::NotFoundError(
            absl::StrCat("the store has no job \"", job, "\"; put the job before its records"));
      }
      continue;
    }
    const JobScope wanted{put->job.spec.tenant, put->job.spec.population, job};
    const JobScope& scope = known.try_emplace(job, wanted).first->second;
    if (scope.tenant != wanted.tenant || scope.population != wanted.population) {
      return absl::AlreadyExistsError(absl::StrCat("job id \"", job, "\" is taken in tenant \"",
                                                   scope.tenant, "\", population \"",
                                                   scope.population, "\"; choose another"));
    }
  }
  return known;
}

}  // namespace

Reservation ReservationOf(const ClientsAssigned& record, uint32_t index) {
  Reservation reservation;
  reservation.assignment = MakeAssignmentId(record.key, index);
  reservation.client = record.clients[index];
  reservation.round = record.key.round;
  reservation.at_ms = record.now_ms;
  reservation.forecast = record.forecasts[index];
  reservation.carbon = record.carbon;
  return reservation;
}

EnergySum CellOf(const EnergyRow& row) {
  const EnergySample& sample = row.sample;
  EnergySum cell{.figures = FiguresOf(sample, std::nullopt)};
  EnergyLabel& label = cell.label;
  label.party = row.index == kCoordinatorIndex ? EnergyParty::kCoordinator : EnergyParty::kClients;
  label.source = sample.source;
  label.quality = sample.quality;
  label.scope = sample.scope;
  label.use = row.use == EnergyUse::kUseful ? JouleUse::kUseful : JouleUse::kWasted;
  label.carbon = row.carbon;
  label.round = row.key.round;
  label.evaluation = row.key.evaluation;
  label.phase = sample.phase;
  label.hour = HourOf(row.at_ms);
  cell.figures.micrograms = row.micrograms;
  cell.figures.stale_micrograms = row.stale_micrograms;
  return cell;
}

std::optional<std::pair<RoundKey, uint32_t>> ParseAssignmentId(const std::string& id) {
  const std::vector<std::string> parts = absl::StrSplit(id, '/');
  if (parts.size() < 4) return std::nullopt;
  const std::string& index_part = parts[parts.size() - 1];
  const std::string& attempt_part = parts[parts.size() - 2];
  const std::string& round_part = parts[parts.size() - 3];
  RoundKey key;
  uint32_t index = 0;
  if (round_part.empty() || attempt_part.empty() ||
      !absl::SimpleAtoi(round_part.substr(1), &key.round) ||
      !absl::SimpleAtoi(attempt_part.substr(1), &key.attempt) ||
      !absl::SimpleAtoi(index_part, &index)) {
    return std::nullopt;
  }
  key.evaluation = round_part[0] == 'e';
  const size_t tail = round_part.size() + attempt_part.size() + index_part.size() + 3;
  key.job = id.substr(0, id.size() - tail);
  // One spelling only: "r03" or "+1" name nothing.
  if (MakeAssignmentId(key, index) != id) return std::nullopt;
  return std::make_pair(std::move(key), index);
}

absl::Status Apply(const std::vector<StoreWrite>& batch, Tables& tables) {
  FW_ASSIGN_OR_RETURN(const Scopes scopes, CheckBatch(batch, tables));
  for (const StoreWrite& write : batch) {
    if (const PutJob* put = std::get_if<PutJob>(&write)) {
      FW_RETURN_IF_ERROR(tables.PutJob(put->job));
      continue;
    }
    const LogRecord& record = std::get<AppendLog>(write).record;
    const JobScope& scope = scopes.at(JobOf(record));
    FW_RETURN_IF_ERROR(
        std::visit([&](const auto& kind) { return OnRecord(scope, kind, tables); }, record));
  }
  return absl::OkStatus();
}

absl::Status Prune(const RetentionDays& days, int64_t now_ms, Tables& tables) {
  const auto before = [now_ms](uint32_t kept) {
    return now_ms - static_cast<int64_t>(kept) * 24 * 3600 * 1000;
  };
  if (days.energy > 0) FW_RETURN_IF_ERROR(tables.PruneEnergy(before(days.energy)));
  if (days.assignments > 0) FW_RETURN_IF_ERROR(tables.PruneAssignments(before(days.assignments)));
  if (days.history > 0) FW_RETURN_IF_ERROR(tables.PruneHistory(before(days.history)));
  return absl::OkStatus();
}

}  // namespace fedwatt
