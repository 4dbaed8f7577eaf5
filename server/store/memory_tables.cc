#include "server/store/memory_tables.h"

#include <algorithm>
#include <set>

namespace fedwatt {
namespace {

const RoundKey& KeyOf(const LogRecord& record) {
  return std::visit([](const auto& kind) -> const RoundKey& { return kind.key; }, record);
}

bool EndsEvaluation(const LogRecord& record) {
  if (!KeyOf(record).evaluation) return false;
  if (const auto* abandoned = std::get_if<AttemptAbandoned>(&record)) return abandoned->give_up;
  return std::holds_alternative<RoundCommitted>(record);
}

bool IsFinal(AssignmentState state) {
  return state != AssignmentState::kAssigned && state != AssignmentState::kReported;
}

template <typename Map>
auto FindRow(const Map& map, const typename Map::key_type& key) {
  const auto it = map.find(key);
  return it == map.end() ? std::nullopt : std::make_optional(it->second.row);
}

template <typename Map>
auto Values(const Map& map) {
  std::vector<typename Map::mapped_type> values;
  values.reserve(map.size());
  for (const auto& [key, value] : map) values.push_back(value);
  return values;
}

}  // namespace

absl::StatusOr<std::optional<JobScope>> MemoryTables::FindJob(const std::string& job) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return std::optional<JobScope>();
  const JobSpec& spec = it->second.record.spec;
  return std::optional<JobScope>(JobScope{spec.tenant, spec.population, job});
}

absl::Status MemoryTables::PutJob(const JobRecord& job) {
  jobs_[job.id].record = job;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<JobRecord>> MemoryTables::LoadJobs() {
  std::vector<JobRecord> records;
  for (const auto& [id, job] : jobs_) records.push_back(job.record);
  std::stable_sort(records.begin(), records.end(), [](const JobRecord& a, const JobRecord& b) {
    return a.created_ms < b.created_ms;
  });
  return records;
}

absl::Status MemoryTables::AppendLog(const JobScope& scope, const LogRecord& record) {
  JobOf(scope).log.push_back(record);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LogRecord>> MemoryTables::LoadLog(const JobScope& scope) {
  return JobOf(scope).log;
}

absl::Status MemoryTables::CompactLog(const JobScope& scope) {
  std::vector<LogRecord>& log = JobOf(scope).log;
  std::set<uint64_t> ended;
  for (const LogRecord& record : log) {
    if (EndsEvaluation(record)) ended.insert(KeyOf(record).round);
  }
  std::erase_if(log, [&ended](const LogRecord& record) {
    return !KeyOf(record).evaluation || ended.contains(KeyOf(record).round);
  });
  return absl::OkStatus();
}

absl::Status MemoryTables::PutCommit(const JobScope& scope, const RoundCommitted& commit) {
  JobOf(scope).commit = commit;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<RoundCommitted>> MemoryTables::LastCommit(const JobScope& scope) {
  return JobOf(scope).commit;
}

absl::Status MemoryTables::AddAssignment(const JobScope& scope, const AssignmentRecord& assignment,
                                         int64_t at_ms) {
  JobOf(scope).assignments.try_emplace({assignment.key, assignment.index},
                                       Timed<AssignmentRecord>{assignment, at_ms});
  return absl::OkStatus();
}

absl::StatusOr<std::optional<AssignmentRecord>> MemoryTables::GetAssignment(const JobScope& scope,
                                                                            const RoundKey& key,
                                                                            uint32_t index) {
  return FindRow(JobOf(scope).assignments, {key, index});
}

absl::Status MemoryTables::SetAssignment(const JobScope& scope, const RoundKey& key, uint32_t index,
                                         AssignmentState state, const std::string& reason) {
  const auto it = JobOf(scope).assignments.find({key, index});
  if (it != JobOf(scope).assignments.end()) {
    it->second.row.state = state;
    it->second.row.reason = reason;
  }
  return absl::OkStatus();
}

absl::Status MemoryTables::MoveAssignments(const JobScope& scope, const RoundKey& key,
                                           AssignmentState from, AssignmentState to,
                                           const std::string& reason) {
  auto& assignments = JobOf(scope).assignments;
  for (auto it = assignments.lower_bound({key, 0});
       it != assignments.end() && it->first.first == key; ++it) {
    if (it->second.row.state != from) continue;
    it->second.row.state = to;
    it->second.row.reason = reason;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EnergySample>> MemoryTables::LoadEnergy(const JobScope& scope,
                                                                   const RoundKey& key,
                                                                   uint32_t index) {
  const auto& energy = JobOf(scope).energy;
  std::vector<EnergySample> samples;
  for (auto it = energy.lower_bound({key, index, 0});
       it != energy.end() && it->second.key == key && it->second.index == index; ++it) {
    samples.push_back(it->second.sample);
  }
  return samples;
}

absl::Status MemoryTables::AddEnergy(const JobScope& scope, const EnergyRow& row) {
  JobOf(scope).energy.try_emplace({row.key, row.index, row.part}, row);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EnergyRow>> MemoryTables::SettleEnergy(const JobScope& scope,
                                                                  const RoundKey& key,
                                                                  std::optional<uint32_t> index,
                                                                  EnergyUse use) {
  std::vector<EnergyRow> settled;
  auto& energy = JobOf(scope).energy;
  for (auto it = energy.lower_bound({key, 0, 0}); it != energy.end() && it->second.key == key;
       ++it) {
    if (it->second.use != EnergyUse::kPending) continue;
    if (index.has_value() && it->second.index != *index) continue;
    settled.push_back(it->second);
    it->second.use = use;
  }
  return settled;
}

absl::StatusOr<std::vector<EnergyTotal>> MemoryTables::LoadTotals(const JobScope& scope) {
  std::vector<EnergyTotal> totals = JobOf(scope).totals;
  std::sort(totals.begin(), totals.end(), [](const EnergyTotal& a, const EnergyTotal& b) {
    return std::tie(a.source, a.quality, a.scope) < std::tie(b.source, b.quality, b.scope);
  });
  return totals;
}

absl::Status MemoryTables::PutTotals(const JobScope& scope,
                                     const std::vector<EnergyTotal>& totals) {
  JobOf(scope).totals = totals;
  return absl::OkStatus();
}

absl::Status MemoryTables::AddSums(const JobScope& scope, const std::vector<EnergySum>& sums) {
  for (const EnergySum& sum : sums) AddFigures(sum.figures, &JobOf(scope).sums[sum.label]);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EnergySum>> MemoryTables::LoadSums(const JobScope& scope) {
  std::vector<EnergySum> sums;
  for (const auto& [label, figures] : JobOf(scope).sums) sums.push_back({label, figures});
  return sums;
}

absl::Status MemoryTables::AddClientSums(const JobScope& scope, const std::vector<EnergySum>& sums,
                                         int64_t at_ms) {
  for (const EnergySum& sum : sums) {
    Timed<EnergyFigures>& known = JobOf(scope).client_sums[sum.label];
    AddFigures(sum.figures, &known.row);
    known.at_ms = std::max(known.at_ms, at_ms);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EnergySum>> MemoryTables::LoadClientSums(const JobScope& scope) {
  std::vector<EnergySum> sums;
  for (const auto& [label, known] : JobOf(scope).client_sums) sums.push_back({label, known.row});
  return sums;
}

absl::StatusOr<std::vector<EnergySum>> MemoryTables::SumRows(const JobScope& scope, EnergyAxis axis,
                                                             const EnergyFilter& filter) {
  std::vector<EnergySum> cells;
  for (const auto& [key, row] : JobOf(scope).energy) {
    if (row.use == EnergyUse::kPending) continue;
    cells.push_back(CellOf(row));
    cells.back().label.client = row.client;
  }
  return GroupEnergy(cells, axis, filter);
}

absl::Status MemoryTables::AddReservation(const JobScope& scope, const RoundKey& key,
                                          uint32_t index, const Reservation& reservation) {
  JobOf(scope).reservations.try_emplace({key, index}, BudgetEntry{reservation, std::nullopt});
  return absl::OkStatus();
}

absl::StatusOr<std::optional<BudgetEntry>> MemoryTables::GetReservation(const JobScope& scope,
                                                                        const RoundKey& key,
                                                                        uint32_t index) {
  const auto& reservations = JobOf(scope).reservations;
  const auto found = reservations.find({key, index});
  if (found == reservations.end()) return std::optional<BudgetEntry>();
  return std::optional<BudgetEntry>(found->second);
}

absl::Status MemoryTables::SetBooked(const JobScope& scope, const RoundKey& key, uint32_t index,
                                     const BookedEnergy& booked) {
  const auto found = JobOf(scope).reservations.find({key, index});
  if (found != JobOf(scope).reservations.end()) found->second.booked = booked;
  return absl::OkStatus();
}

absl::Status MemoryTables::SilenceReservations(const JobScope& scope, const RoundKey& key) {
  auto& reservations = JobOf(scope).reservations;
  for (auto it = reservations.lower_bound({key, 0});
       it != reservations.end() && it->first.first == key; ++it) {
    BudgetEntry& entry = it->second;
    if (!entry.booked) entry.booked = {entry.reservation.reserved_uj(), BookedBy::kSilence};
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<BudgetEntry>> MemoryTables::LoadReservations(const JobScope& scope) {
  return Values(JobOf(scope).reservations);
}

absl::StatusOr<std::optional<ClientHistory>> MemoryTables::GetHistory(const JobScope& scope,
                                                                      const std::string& client) {
  return FindRow(JobOf(scope).history, client);
}

absl::Status MemoryTables::PutHistory(const JobScope& scope, const ClientHistory& history,
                                      int64_t at_ms) {
  JobOf(scope).history[history.client] = {history, at_ms};
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ClientHistory>> MemoryTables::LoadHistory(const JobScope& scope) {
  std::vector<ClientHistory> all;
  for (const auto& [client, history] : JobOf(scope).history) all.push_back(history.row);
  return all;
}

absl::StatusOr<std::optional<RoundSummary>> MemoryTables::GetRound(const JobScope& scope,
                                                                   uint64_t round) {
  const auto it = JobOf(scope).rounds.find(round);
  if (it == JobOf(scope).rounds.end()) return std::optional<RoundSummary>();
  return std::optional<RoundSummary>(it->second);
}

absl::Status MemoryTables::PutRound(const JobScope& scope, uint64_t round,
                                    const RoundSummary& summary) {
  JobOf(scope).rounds[round] = summary;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RoundSummary>> MemoryTables::LoadRounds(const JobScope& scope) {
  return Values(JobOf(scope).rounds);
}

absl::Status MemoryTables::PutModel(const JobScope& scope, uint64_t round, const ModelRef& model) {
  JobOf(scope).models[round] = model;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ModelRef>> MemoryTables::LoadModels(const JobScope& scope) {
  return Values(JobOf(scope).models);
}

absl::Status MemoryTables::ForgetClient(const std::string& tenant, const std::string& population,
                                        const std::string& client) {
  for (auto& [id, job] : jobs_) {
    if (job.record.spec.tenant != tenant || job.record.spec.population != population) continue;
    job.history.erase(client);
    for (auto& [key, assignment] : job.assignments) {
      if (assignment.row.client == client) assignment.row.client.clear();
    }
    for (auto& [key, energy] : job.energy) {
      if (energy.client == client) energy.client.clear();
    }
    for (auto it = job.client_sums.begin(); it != job.client_sums.end();) {
      if (it->first.client != client) {
        ++it;
        continue;
      }
      EnergyLabel nobody = it->first;
      nobody.client.clear();
      Timed<EnergyFigures>& known = job.client_sums[nobody];
      AddFigures(it->second.row, &known.row);
      known.at_ms = std::max(known.at_ms, it->second.at_ms);
      it = job.client_sums.erase(it);
    }
    for (auto& [key, entry] : job.reservations) {
      if (entry.reservation.client == client) entry.reservation.client.clear();
    }
    for (LogRecord& record : job.log) {
      if (auto* assigned = std::get_if<ClientsAssigned>(&record)) {
        std::replace(assigned->clients.begin(), assigned->clients.end(), client, std::string());
      }
    }
  }
  return absl::OkStatus();
}

absl::Status MemoryTables::PruneEnergy(int64_t before_ms) {
  for (auto& [id, job] : jobs_) {
    std::erase_if(job.energy, [before_ms](const auto& entry) {
      return entry.second.use != EnergyUse::kPending && entry.second.at_ms < before_ms;
    });
  }
  return absl::OkStatus();
}

absl::Status MemoryTables::PruneAssignments(int64_t before_ms) {
  for (auto& [id, job] : jobs_) {
    std::erase_if(job.assignments, [before_ms](const auto& entry) {
      return IsFinal(entry.second.row.state) && entry.second.at_ms < before_ms;
    });
  }
  return absl::OkStatus();
}

absl::Status MemoryTables::PruneHistory(int64_t before_ms) {
  for (auto& [id, job] : jobs_) {
    std::erase_if(job.history,
                  [before_ms](const auto& entry) { return entry.second.at_ms < before_ms; });
    std::erase_if(job.client_sums, [before_ms](const auto& entry) {
      return !entry.first.client.empty() && entry.second.at_ms < before_ms;
    });
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
