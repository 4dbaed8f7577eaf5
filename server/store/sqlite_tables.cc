#include "server/store/sqlite_tables.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "server/store/record_codec.h"
#include "server/store/sqlite_bind.h"

namespace fedwatt {
namespace {

struct LogColumns {
  RoundKey key;
  bool names_clients = false;
  bool ends_evaluation = false;
};

LogColumns ColumnsOf(const LogRecord& record) {
  LogColumns columns;
  columns.key = std::visit([](const auto& kind) { return kind.key; }, record);
  columns.names_clients = std::holds_alternative<ClientsAssigned>(record);
  if (columns.key.evaluation) {
    const auto* abandoned = std::get_if<AttemptAbandoned>(&record);
    columns.ends_evaluation = std::holds_alternative<RoundCommitted>(record) ||
                              (abandoned != nullptr && abandoned->give_up);
  }
  return columns;
}

void BindOptional(SqliteQuery& query, const std::optional<int64_t>& value) {
  if (value) {
    query.Bind(*value);
  } else {
    query.BindNull();
  }
}

}  // namespace

absl::Status SqliteTables::PutJob(const JobRecord& job) {
  FW_ASSIGN_OR_RETURN(const std::string bytes, EncodeJob(job));
  return BindScope(db_->Query("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)"),
                   {job.spec.tenant, job.spec.population, job.id})
      .Bind(job.created_ms)
      .BindBlob(bytes)
      .Run();
}

absl::Status SqliteTables::AppendLog(const JobScope& scope, const LogRecord& record) {
  FW_ASSIGN_OR_RETURN(const std::string bytes, EncodeLogRecord(record));
  const LogColumns columns = ColumnsOf(record);
  return BindScope(db_->Query("INSERT INTO log SELECT ?1, ?2, ?3, COALESCE(MAX(seq), 0) + 1, ?4, "
                              "?5, ?6, ?7, ?8 FROM log "
                              "WHERE tenant = ?1 AND population = ?2 AND job = ?3"),
                   scope)
      .Bind(columns.key.evaluation)
      .Bind(static_cast<int64_t>(columns.key.round))
      .Bind(columns.names_clients)
      .Bind(columns.ends_evaluation)
      .BindBlob(bytes)
      .Run();
}

absl::Status SqliteTables::CompactLog(const JobScope& scope) {
  return BindScope(db_->Query("DELETE FROM log WHERE tenant = ?1 AND population = ?2 AND job = ?3 "
                              "AND (evaluation = 0 OR round IN (SELECT round FROM log "
                              "WHERE tenant = ?1 AND population = ?2 AND job = ?3 "
                              "AND ends_evaluation = 1))"),
                   scope)
      .Run();
}

absl::Status SqliteTables::PutCommit(const JobScope& scope, const RoundCommitted& commit) {
  FW_ASSIGN_OR_RETURN(const std::string bytes, EncodeLogRecord(commit));
  return BindScope(db_->Query("INSERT OR REPLACE INTO commits VALUES (?, ?, ?, ?)"), scope)
      .BindBlob(bytes)
      .Run();
}

absl::Status SqliteTables::AddAssignment(const JobScope& scope, const AssignmentRecord& assignment,
                                         int64_t at_ms) {
  return BindAttempt(db_->Query("INSERT OR IGNORE INTO assignments "
                                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
                     scope, assignment.key)
      .Bind(static_cast<int64_t>(assignment.index))
      .Bind(assignment.client)
      .Bind(static_cast<int64_t>(assignment.state))
      .Bind(assignment.reason)
      .Bind(at_ms)
      .Bind(assignment.codec)
      .Bind(assignment.codec_reason)
      .Run();
}

absl::Status SqliteTables::SetAssignment(const JobScope& scope, const RoundKey& key, uint32_t index,
                                         AssignmentState state, const std::string& reason) {
  return BindAttempt(db_->Query("UPDATE assignments SET state = ?8, reason = ?9 "
                                "WHERE tenant = ?1 AND population = ?2 AND job = ?3 "
                                "AND evaluation = ?4 AND round = ?5 AND attempt = ?6 AND idx = ?7"),
                     scope, key)
      .Bind(static_cast<int64_t>(index))
      .Bind(static_cast<int64_t>(state))
      .Bind(reason)
      .Run();
}

absl::Status SqliteTables::MoveAssignments(const JobScope& scope, const RoundKey& key,
                                           AssignmentState from, AssignmentState to,
                                           const std::string& reason) {
  return BindAttempt(db_->Query("UPDATE assignments SET state = ?8, reason = ?9 "
                                "WHERE tenant = ?1 AND population = ?2 AND job = ?3 "
                                "AND evaluation = ?4 AND round = ?5 AND attempt = ?6 "
                                "AND state = ?7"),
                     scope, key)
      .Bind(static_cast<int64_t>(from))
      .Bind(static_cast<int64_t>(to))
      .Bind(reason)
      .Run();
}

absl::StatusOr<std::vector<EnergySample>> SqliteTables::LoadEnergy(const JobScope& scope,
                                                                   const RoundKey& key,
                                                                   uint32_t index) {
  SqliteQuery query = BindAttempt(
      db_->Query("SELECT phase, source, quality, scope, energy_uj, bytes, duration_us FROM energy "
                 "WHERE tenant = ? AND population = ? AND job = ? "
                 "AND evaluation = ? AND round = ? AND attempt = ? AND idx = ? ORDER BY part"),
      scope, key);
  query.Bind(static_cast<int64_t>(index));
  std::vector<EnergySample> samples;
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return samples;
    EnergySample& sample = samples.emplace_back();
    sample.phase = static_cast<Phase>(query.Int(0));
    sample.source = query.Bytes(1);
    sample.quality = static_cast<EnergyQuality>(query.Int(2));
    sample.scope = static_cast<EnergyScope>(query.Int(3));
    if (!query.IsNull(4)) sample.energy_uj = query.Int(4);
    sample.bytes = static_cast<uint64_t>(query.Int(5));
    sample.duration_us = query.Int(6);
  }
}

absl::Status SqliteTables::AddEnergy(const JobScope& scope, const EnergyRow& row) {
  const EnergySample& sample = row.sample;
  SqliteQuery query =
      BindAttempt(db_->Query("INSERT INTO energy VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                             "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
                  scope, row.key);
  query.Bind(static_cast<int64_t>(row.index))
      .Bind(static_cast<int64_t>(row.part))
      .Bind(static_cast<int64_t>(sample.phase))
      .Bind(sample.source)
      .Bind(row.client)
      .Bind(static_cast<int64_t>(sample.quality))
      .Bind(static_cast<int64_t>(sample.scope));
  BindOptional(query, sample.energy_uj);
  BindOptional(query, sample.sigma_uj);
  BindOptional(query, sample.machine_energy_uj);
  query.Bind(sample.idle_subtracted)
      .BindReal(sample.coverage)
      .Bind(sample.duration_us)
      .Bind(static_cast<int64_t>(sample.bytes))
      .Bind(sample.reason)
      .Bind(static_cast<int64_t>(row.use))
      .Bind(row.at_ms)
      .Bind(row.carbon)
      .Bind(row.micrograms)
      .Bind(row.stale_micrograms);
  return query.Run();
}

absl::StatusOr<std::vector<EnergyRow>> SqliteTables::SettleEnergy(const JobScope& scope,
                                                                  const RoundKey& key,
                                                                  std::optional<uint32_t> index,
                                                                  EnergyUse use) {
  // Every row, where no assignment is named.
  const int64_t least = index.has_value() ? *index : 0;
  const int64_t most = index.has_value() ? *index : INT64_MAX;
  std::vector<EnergyRow> settled;
  SqliteQuery query = BindAttempt(
      db_->Query("SELECT source, quality, scope, phase, energy_uj, sigma_uj, duration_us, "
                 "bytes, at_ms, carbon, micrograms, stale_micrograms, idx, client FROM energy "
                 "WHERE tenant = ? AND population = ? AND job = ? AND evaluation = ? "
                 "AND round = ? AND attempt = ? AND idx BETWEEN ? AND ? AND \"use\" = 1"),
      scope, key);
  query.Bind(least).Bind(most);
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) break;
    EnergyRow& settled_row = settled.emplace_back();
    settled_row.key = key;
    settled_row.at_ms = query.Int(8);
    settled_row.carbon = query.Bytes(9);
    settled_row.micrograms = query.Int(10);
    settled_row.stale_micrograms = query.Int(11);
    settled_row.index = static_cast<uint32_t>(query.Int(12));
    settled_row.client = query.Bytes(13);
    EnergySample& sample = settled_row.sample;
    sample.source = query.Bytes(0);
    sample.quality = static_cast<EnergyQuality>(query.Int(1));
    sample.scope = static_cast<EnergyScope>(query.Int(2));
    sample.phase = static_cast<Phase>(query.Int(3));
    if (!query.IsNull(4)) sample.energy_uj = query.Int(4);
    if (!query.IsNull(5)) sample.sigma_uj = query.Int(5);
    sample.duration_us = query.Int(6);
    sample.bytes = static_cast<uint64_t>(query.Int(7));
  }
  if (settled.empty()) return settled;
  FW_RETURN_IF_ERROR(
      BindAttempt(db_->Query("UPDATE energy SET \"use\" = ?9 WHERE tenant = ?1 "
                             "AND population = ?2 AND job = ?3 AND evaluation = ?4 "
                             "AND round = ?5 AND attempt = ?6 AND idx BETWEEN ?7 AND ?8 "
                             "AND \"use\" = 1"),
                  scope, key)
          .Bind(least)
          .Bind(most)
          .Bind(static_cast<int64_t>(use))
          .Run());
  return settled;
}

absl::Status SqliteTables::PutTotals(const JobScope& scope,
                                     const std::vector<EnergyTotal>& totals) {
  for (const EnergyTotal& total : totals) {
    FW_RETURN_IF_ERROR(BindScope(db_->Query("INSERT OR REPLACE INTO energy_totals "
                                            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
                                 scope)
                           .Bind(total.source)
                           .Bind(static_cast<int64_t>(total.quality))
                           .Bind(static_cast<int64_t>(total.scope))
                           .Bind(total.useful_uj)
                           .Bind(total.wasted_uj)
                           .Bind(static_cast<int64_t>(total.samples))
                           .Bind(static_cast<int64_t>(total.unavailable))
                           .Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteTables::PutHistory(const JobScope& scope, const ClientHistory& history,
                                      int64_t at_ms) {
  std::string loss;
  if (history.last_loss) {
    FW_ASSIGN_OR_RETURN(loss, EncodeLoss(*history.last_loss));
  }
  FW_ASSIGN_OR_RETURN(const std::string cost, EncodeCost(history.cost));
  SqliteQuery query = BindScope(
      db_->Query("INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"), scope);
  query.Bind(history.client)
      .Bind(static_cast<int64_t>(history.participations))
      .Bind(static_cast<int64_t>(history.last_round));
  history.last_loss ? query.BindBlob(loss) : query.BindNull();
  history.last_seconds ? query.BindReal(*history.last_seconds) : query.BindNull();
  query.Bind(at_ms).BindBlob(cost);
  const std::string sketch(reinterpret_cast<const char*>(history.sketch.data()),
                           history.sketch.size() * sizeof(float));
  sketch.empty() ? query.BindNull() : query.BindBlob(sketch);
  return query.Run();
}

absl::Status SqliteTables::PutRound(const JobScope& scope, uint64_t round,
                                    const RoundSummary& summary) {
  FW_ASSIGN_OR_RETURN(const std::string bytes, EncodeSummary(summary));
  return BindScope(db_->Query("INSERT OR REPLACE INTO rounds VALUES (?, ?, ?, ?, ?)"), scope)
      .Bind(static_cast<int64_t>(round))
      .BindBlob(bytes)
      .Run();
}

absl::Status SqliteTables::PutModel(const JobScope& scope, uint64_t round, const ModelRef& model) {
  FW_ASSIGN_OR_RETURN(const std::string bytes, EncodeModel(model));
  return BindScope(db_->Query("INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?)"), scope)
      .Bind(static_cast<int64_t>(round))
      .BindBlob(bytes)
      .Run();
}

absl::Status SqliteTables::ForgetClient(const std::string& tenant, const std::string& population,
                                        const std::string& client) {
  for (const char* sql : {"UPDATE assignments SET client = '' "
                          "WHERE tenant = ? AND population = ? AND client = ?",
                          "UPDATE energy SET client = '' "
                          "WHERE tenant = ? AND population = ? AND client = ?",
                          "UPDATE reservations SET client = '' "
                          "WHERE tenant = ? AND population = ? AND client = ?",
                          "DELETE FROM history "
                          "WHERE tenant = ? AND population = ? AND client = ?"}) {
    FW_RETURN_IF_ERROR(db_->Query(sql).Bind(tenant).Bind(population).Bind(client).Run());
  }
  FW_RETURN_IF_ERROR(ForgetInSums(tenant, population, client));
  return ForgetInLog(tenant, population, client);
}

absl::Status SqliteTables::ForgetInLog(const std::string& tenant, const std::string& population,
                                       const std::string& client) {
  struct Change {
    std::string job;
    int64_t seq;
    std::string bytes;
  };
  std::vector<Change> changes;
  {
    SqliteQuery query = db_->Query(
        "SELECT job, seq, record FROM log "
        "WHERE tenant = ? AND population = ? AND names_clients = 1");
    query.Bind(tenant).Bind(population);
    for (;;) {
      FW_ASSIGN_OR_RETURN(const bool row, query.Step());
      if (!row) break;
      FW_ASSIGN_OR_RETURN(LogRecord record, DecodeLogRecord(query.Bytes(2)));
      auto& clients = std::get<ClientsAssigned>(record).clients;
      if (std::find(clients.begin(), clients.end(), client) == clients.end()) continue;
      std::replace(clients.begin(), clients.end(), client, std::string());
      FW_ASSIGN_OR_RETURN(std::string bytes, EncodeLogRecord(record));
      changes.push_back({query.Bytes(0), query.Int(1), std::move(bytes)});
    }
  }
  for (const Change& change : changes) {
    FW_RETURN_IF_ERROR(BindScope(db_->Query("UPDATE log SET record = ?5 WHERE tenant = ?1 "
                                            "AND population = ?2 AND job = ?3 AND seq = ?4"),
                                 {tenant, population, change.job})
                           .Bind(change.seq)
                           .BindBlob(change.bytes)
                           .Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteTables::PruneEnergy(int64_t before_ms) {
  return db_->Query("DELETE FROM energy WHERE \"use\" <> 1 AND at_ms < ?").Bind(before_ms).Run();
}

absl::Status SqliteTables::PruneAssignments(int64_t before_ms) {
  return db_->Query("DELETE FROM assignments WHERE state NOT IN (1, 2) AND at_ms < ?")
      .Bind(before_ms)
      .Run();
}

absl::Status SqliteTables::PruneHistory(int64_t before_ms) {
  FW_RETURN_IF_ERROR(
      db_->Query("DELETE FROM client_sums WHERE client <> '' AND at_ms < ?").Bind(before_ms).Run());
  return db_->Query("DELETE FROM history WHERE at_ms < ?").Bind(before_ms).Run();
}

}  // namespace fedwatt
