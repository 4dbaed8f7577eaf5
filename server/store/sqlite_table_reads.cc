#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/record_codec.h"
#include "server/store/sqlite_bind.h"
#include "server/store/sqlite_tables.h"

namespace fedwatt {
namespace {

// Every row's first column, decoded.
template <typename Value>
absl::StatusOr<std::vector<Value>> DecodeAll(SqliteQuery query,
                                             absl::StatusOr<Value> (*decode)(const std::string&)) {
  std::vector<Value> values;
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return values;
    FW_ASSIGN_OR_RETURN(Value value, decode(query.Bytes(0)));
    values.push_back(std::move(value));
  }
}

absl::StatusOr<UpdateSketch> DecodeSketch(const std::string& bytes) {
  if (bytes.size() != kSketchSize * sizeof(float)) {
    return absl::DataLossError(absl::StrCat("a client's sketch of ", bytes.size(),
                                            " bytes: ", kSketchSize * sizeof(float), " expected"));
  }
  UpdateSketch sketch(kSketchSize);
  std::memcpy(sketch.data(), bytes.data(), bytes.size());
  return sketch;
}

absl::StatusOr<ClientHistory> HistoryFrom(const SqliteQuery& query) {
  ClientHistory history;
  history.client = query.Bytes(0);
  history.participations = static_cast<uint64_t>(query.Int(1));
  history.last_round = static_cast<uint64_t>(query.Int(2));
  if (!query.IsNull(3)) {
    FW_ASSIGN_OR_RETURN(history.last_loss, DecodeLoss(query.Bytes(3)));
  }
  if (!query.IsNull(4)) history.last_seconds = query.Real(4);
  if (!query.IsNull(5)) {
    FW_ASSIGN_OR_RETURN(history.cost, DecodeCost(query.Bytes(5)));
  }
  if (!query.IsNull(6)) {
    FW_ASSIGN_OR_RETURN(history.sketch, DecodeSketch(query.Bytes(6)));
  }
  return history;
}

}  // namespace

absl::StatusOr<std::optional<JobScope>> SqliteTables::FindJob(const std::string& job) {
  SqliteQuery query = db_->Query("SELECT tenant, population FROM jobs WHERE job = ?");
  FW_ASSIGN_OR_RETURN(const bool found, query.Bind(job).Step());
  if (!found) return std::optional<JobScope>();
  return std::optional<JobScope>(JobScope{query.Bytes(0), query.Bytes(1), job});
}

absl::StatusOr<std::vector<JobRecord>> SqliteTables::LoadJobs() {
  return DecodeAll(db_->Query("SELECT record FROM jobs ORDER BY created_ms, job"), &DecodeJob);
}

absl::StatusOr<std::vector<LogRecord>> SqliteTables::LoadLog(const JobScope& scope) {
  return DecodeAll(BindScope(db_->Query("SELECT record FROM log WHERE tenant = ? "
                                        "AND population = ? AND job = ? ORDER BY seq"),
                             scope),
                   &DecodeLogRecord);
}

absl::StatusOr<std::optional<RoundCommitted>> SqliteTables::LastCommit(const JobScope& scope) {
  FW_ASSIGN_OR_RETURN(std::vector<LogRecord> records,
                      DecodeAll(BindScope(db_->Query("SELECT record FROM commits WHERE tenant = ? "
                                                     "AND population = ? AND job = ?"),
                                          scope),
                                &DecodeLogRecord));
  if (records.empty()) return std::optional<RoundCommitted>();
  return std::optional<RoundCommitted>(std::get<RoundCommitted>(std::move(records.front())));
}

absl::StatusOr<std::optional<AssignmentRecord>> SqliteTables::GetAssignment(const JobScope& scope,
                                                                            const RoundKey& key,
                                                                            uint32_t index) {
  SqliteQuery query = BindAttempt(db_->Query("SELECT client, state, reason, codec, codec_reason "
                                             "FROM assignments WHERE tenant = ? AND population = ? "
                                             "AND job = ? AND evaluation = ? AND round = ? "
                                             "AND attempt = ? AND idx = ?"),
                                  scope, key);
  FW_ASSIGN_OR_RETURN(const bool found, query.Bind(static_cast<int64_t>(index)).Step());
  if (!found) return std::optional<AssignmentRecord>();
  AssignmentRecord assignment;
  assignment.id = MakeAssignmentId(key, index);
  assignment.key = key;
  assignment.index = index;
  assignment.client = query.Bytes(0);
  assignment.state = static_cast<AssignmentState>(query.Int(1));
  assignment.reason = query.Bytes(2);
  assignment.codec = query.Bytes(3);
  assignment.codec_reason = query.Bytes(4);
  return std::optional<AssignmentRecord>(std::move(assignment));
}

absl::StatusOr<std::vector<EnergyTotal>> SqliteTables::LoadTotals(const JobScope& scope) {
  SqliteQuery query = BindScope(
      db_->Query("SELECT source, quality, scope, useful_uj, wasted_uj, samples, unavailable "
                 "FROM energy_totals WHERE tenant = ? AND population = ? AND job = ? "
                 "ORDER BY source, quality, scope"),
      scope);
  std::vector<EnergyTotal> totals;
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return totals;
    EnergyTotal& total = totals.emplace_back();
    total.source = query.Bytes(0);
    total.quality = static_cast<EnergyQuality>(query.Int(1));
    total.scope = static_cast<EnergyScope>(query.Int(2));
    total.useful_uj = query.Int(3);
    total.wasted_uj = query.Int(4);
    total.samples = static_cast<uint64_t>(query.Int(5));
    total.unavailable = static_cast<uint64_t>(query.Int(6));
  }
}

absl::StatusOr<std::optional<ClientHistory>> SqliteTables::GetHistory(const JobScope& scope,
                                                                      const std::string& client) {
  SqliteQuery query = BindScope(
      db_->Query("SELECT client, participations, last_round, last_loss, last_seconds, cost, sketch "
                 "FROM history WHERE tenant = ? AND population = ? AND job = ? AND client = ?"),
      scope);
  FW_ASSIGN_OR_RETURN(const bool found, query.Bind(client).Step());
  if (!found) return std::optional<ClientHistory>();
  FW_ASSIGN_OR_RETURN(ClientHistory history, HistoryFrom(query));
  return std::optional<ClientHistory>(std::move(history));
}

absl::StatusOr<std::vector<ClientHistory>> SqliteTables::LoadHistory(const JobScope& scope) {
  SqliteQuery query = BindScope(
      db_->Query("SELECT client, participations, last_round, last_loss, last_seconds, cost, sketch "
                 "FROM history WHERE tenant = ? AND population = ? AND job = ? ORDER BY client"),
      scope);
  std::vector<ClientHistory> all;
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return all;
    FW_ASSIGN_OR_RETURN(ClientHistory history, HistoryFrom(query));
    all.push_back(std::move(history));
  }
}

absl::StatusOr<std::optional<RoundSummary>> SqliteTables::GetRound(const JobScope& scope,
                                                                   uint64_t round) {
  SqliteQuery query = BindScope(db_->Query("SELECT summary FROM rounds WHERE tenant = ? "
                                           "AND population = ? AND job = ? AND round = ?"),
                                scope);
  query.Bind(static_cast<int64_t>(round));
  FW_ASSIGN_OR_RETURN(std::vector<RoundSummary> found, DecodeAll(std::move(query), &DecodeSummary));
  if (found.empty()) return std::optional<RoundSummary>();
  return std::optional<RoundSummary>(std::move(found.front()));
}

absl::StatusOr<std::vector<RoundSummary>> SqliteTables::LoadRounds(const JobScope& scope) {
  return DecodeAll(BindScope(db_->Query("SELECT summary FROM rounds WHERE tenant = ? "
                                        "AND population = ? AND job = ? ORDER BY round"),
                             scope),
                   &DecodeSummary);
}

absl::StatusOr<std::vector<ModelRef>> SqliteTables::LoadModels(const JobScope& scope) {
  return DecodeAll(BindScope(db_->Query("SELECT model FROM models WHERE tenant = ? "
                                        "AND population = ? AND job = ? ORDER BY round"),
                             scope),
                   &DecodeModel);
}

}  // namespace fedwatt
