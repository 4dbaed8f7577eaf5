// The ledger's sums and the budgets' reservations.

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/sqlite_bind.h"
#include "server/store/sqlite_tables.h"

namespace fedwatt {
namespace {

// Columns `at` to `at` + 7, as every statement here lists them.
EnergyFigures FiguresAt(const SqliteQuery& query, int at) {
  EnergyFigures figures;
  figures.energy_uj = query.Int(at);
  figures.sigma_uj = query.Int(at + 1);
  figures.samples = static_cast<uint64_t>(query.Int(at + 2));
  figures.unavailable = static_cast<uint64_t>(query.Int(at + 3));
  figures.duration_us = query.Int(at + 4);
  figures.bytes = static_cast<uint64_t>(query.Int(at + 5));
  figures.micrograms = query.Int(at + 6);
  figures.stale_micrograms = query.Int(at + 7);
  return figures;
}

// Past int64 SQLite goes on in floating point, and reads such a sum as the greatest int64.
constexpr char kAddFigures[] =
    "energy_uj = energy_uj + excluded.energy_uj, sigma_uj = sigma_uj + excluded.sigma_uj, "
    "samples = samples + excluded.samples, unavailable = unavailable + excluded.unavailable, "
    "duration_us = duration_us + excluded.duration_us, bytes = bytes + excluded.bytes, "
    "micrograms = micrograms + excluded.micrograms, "
    "stale_micrograms = stale_micrograms + excluded.stale_micrograms";

constexpr char kFigures[] =
    "energy_uj, sigma_uj, samples, unavailable, duration_us, bytes, micrograms, stale_micrograms";

void BindFigures(SqliteQuery& query, const EnergyFigures& figures) {
  query.Bind(figures.energy_uj)
      .Bind(figures.sigma_uj)
      .Bind(static_cast<int64_t>(figures.samples))
      .Bind(static_cast<int64_t>(figures.unavailable))
      .Bind(figures.duration_us)
      .Bind(static_cast<int64_t>(figures.bytes))
      .Bind(figures.micrograms)
      .Bind(figures.stale_micrograms);
}

// Source, quality, scope, use and carbon: what keeps figures apart, whatever is asked.
void BindKind(SqliteQuery& query, const EnergyLabel& label) {
  query.Bind(label.source)
      .Bind(static_cast<int64_t>(label.quality))
      .Bind(static_cast<int64_t>(label.scope))
      .Bind(static_cast<int64_t>(label.use))
      .Bind(label.carbon);
}

// Columns `at` to `at` + 5: party and the kind.
void KindAt(const SqliteQuery& query, int at, EnergyLabel* label) {
  label->party = static_cast<EnergyParty>(query.Int(at));
  label->source = query.Bytes(at + 1);
  label->quality = static_cast<EnergyQuality>(query.Int(at + 2));
  label->scope = static_cast<EnergyScope>(query.Int(at + 3));
  label->use = static_cast<JouleUse>(query.Int(at + 4));
  label->carbon = query.Bytes(at + 5);
}

// The columns of `energy` by which an axis groups, in the order in which LabelAt reads them.
const char* ColumnsOf(EnergyAxis axis) {
  switch (axis) {
    case EnergyAxis::kPhase:
      return "phase";
    case EnergyAxis::kClient:
      return "client, evaluation";
    case EnergyAxis::kRound:
      return "round, evaluation";
    case EnergyAxis::kSource:
      break;
    case EnergyAxis::kDay:
      return "at_ms / 86400000";
  }
  return "0";
}

// Columns 6 and, by client and round, 7.
void LabelAt(const SqliteQuery& query, EnergyAxis axis, EnergyLabel* label) {
  switch (axis) {
    case EnergyAxis::kPhase:
      label->phase = static_cast<Phase>(query.Int(6));
      break;
    case EnergyAxis::kClient:
      label->client = query.Bytes(6);
      label->evaluation = query.Int(7) != 0;
      break;
    case EnergyAxis::kRound:
      label->round = static_cast<uint64_t>(query.Int(6));
      label->evaluation = query.Int(7) != 0;
      break;
    case EnergyAxis::kSource:
      break;
    case EnergyAxis::kDay:
      label->hour = query.Int(6) * 24;
      break;
  }
}

// The statement of SumRows. TOTAL is exact to 2^53 uJ (9 GJ); SUM would fail, not saturate, on what
// only a liar claims.
std::string RowsStatement(EnergyAxis axis) {
  const std::string kind =
      absl::StrCat("CASE idx WHEN ", kCoordinatorIndex,
                   " THEN 2 ELSE 1 END, source, quality, scope, \"use\" - 1, carbon");
  const bool two = axis == EnergyAxis::kRound || axis == EnergyAxis::kClient;
  return absl::StrCat(
      "SELECT ", kind, ", ", ColumnsOf(axis), two ? "" : ", 0",
      ", CAST(TOTAL(energy_uj) AS INTEGER), CAST(TOTAL(sigma_uj) AS INTEGER), COUNT(*), "
      "COUNT(*) - COUNT(energy_uj), CAST(TOTAL(duration_us) AS INTEGER), "
      "CAST(TOTAL(bytes) AS INTEGER), CAST(TOTAL(micrograms) AS INTEGER), "
      "CAST(TOTAL(stale_micrograms) AS INTEGER) FROM energy "
      "WHERE tenant = ?1 AND population = ?2 AND job = ?3 AND \"use\" > 1 "
      "AND at_ms >= ?4 AND at_ms < ?5 AND (?6 = 0 OR phase = ?6) AND (?7 = 0 OR quality = ?7) "
      "AND (?8 = 0 OR \"use\" = ?8 + 1) AND (?9 = 0 OR (idx = ",
      kCoordinatorIndex, ") = (?9 = 2)) AND (?10 < 0 OR round = ?10) ",
      "AND (?11 = '' OR source = ?11) AND (?12 = '' OR client = ?12) "
      "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8");
}

// By axis; SqliteDb keeps a statement under the address of its text.
const char* StatementOf(EnergyAxis axis) {
  static const std::string kStatements[] = {
      RowsStatement(EnergyAxis::kPhase), RowsStatement(EnergyAxis::kClient),
      RowsStatement(EnergyAxis::kRound), RowsStatement(EnergyAxis::kSource),
      RowsStatement(EnergyAxis::kDay)};
  return kStatements[static_cast<size_t>(axis) - 1].c_str();
}

template <typename Enum>
int64_t NumberOf(const std::optional<Enum>& value) {
  return value ? static_cast<int64_t>(*value) : 0;
}

// The kind, what `axis` groups by, and the figures.
absl::StatusOr<std::vector<EnergySum>> ReadSums(SqliteQuery query, EnergyAxis axis) {
  std::vector<EnergySum> sums;
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return sums;
    EnergySum& sum = sums.emplace_back();
    KindAt(query, 0, &sum.label);
    LabelAt(query, axis, &sum.label);
    sum.figures = FiguresAt(query, 8);
  }
}

// evaluation, round, hour, party, phase, source, quality, scope, use, carbon, and the figures.
absl::StatusOr<std::vector<EnergySum>> ReadCells(SqliteQuery query) {
  std::vector<EnergySum> sums;
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return sums;
    EnergySum& sum = sums.emplace_back();
    sum.label.evaluation = query.Int(0) != 0;
    sum.label.round = static_cast<uint64_t>(query.Int(1));
    sum.label.hour = query.Int(2);
    sum.label.party = static_cast<EnergyParty>(query.Int(3));
    sum.label.phase = static_cast<Phase>(query.Int(4));
    sum.label.source = query.Bytes(5);
    sum.label.quality = static_cast<EnergyQuality>(query.Int(6));
    sum.label.scope = static_cast<EnergyScope>(query.Int(7));
    sum.label.use = static_cast<JouleUse>(query.Int(8));
    sum.label.carbon = query.Bytes(9);
    sum.figures = FiguresAt(query, 10);
  }
}

constexpr char kReservationColumns[] =
    "evaluation, round, attempt, idx, client, at_ms, mean_uj, sigma_uj, floor_uj, ceiling_uj, "
    "by_prior, device_class, g_per_kwh, carbon, stale, booked_uj, booked_by, units "
    "FROM reservations "
    "WHERE tenant = ? AND population = ? AND job = ?";

absl::StatusOr<BudgetEntry> EntryFrom(const SqliteQuery& query, const std::string& job) {
  BudgetEntry entry;
  const RoundKey key{job, static_cast<uint64_t>(query.Int(1)), static_cast<uint32_t>(query.Int(2)),
                     query.Int(0) != 0};
  Reservation& reservation = entry.reservation;
  reservation.assignment = MakeAssignmentId(key, static_cast<uint32_t>(query.Int(3)));
  reservation.round = key.round;
  reservation.client = query.Bytes(4);
  reservation.at_ms = query.Int(5);
  reservation.forecast = {query.Int(6),       query.Int(7),    query.Int(8),  query.Int(9),
                          query.Int(10) != 0, query.Bytes(11), query.Real(17)};
  if (!query.IsNull(12)) {
    CarbonIntensity carbon;
    carbon.g_per_kwh = query.Real(12);
    FW_ASSIGN_OR_RETURN(carbon.kind, ParseCarbonKind(query.Bytes(13)));
    carbon.stale = query.Int(14) != 0;
    reservation.carbon = carbon;
  }
  if (!query.IsNull(15)) {
    entry.booked = BookedEnergy{query.Int(15), static_cast<BookedBy>(query.Int(16))};
  }
  return entry;
}

}  // namespace

absl::Status SqliteTables::AddSums(const JobScope& scope, const std::vector<EnergySum>& sums) {
  static const std::string kSql =
      absl::StrCat("INSERT INTO energy_sums VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ",
                   "?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ", kAddFigures);
  for (const EnergySum& sum : sums) {
    const EnergyLabel& label = sum.label;
    SqliteQuery query = BindScope(db_->Query(kSql.c_str()), scope);
    query.Bind(label.evaluation)
        .Bind(static_cast<int64_t>(label.round))
        .Bind(label.hour)
        .Bind(static_cast<int64_t>(label.party))
        .Bind(static_cast<int64_t>(label.phase.value_or(Phase::kTrain)));
    BindKind(query, label);
    BindFigures(query, sum.figures);
    FW_RETURN_IF_ERROR(query.Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EnergySum>> SqliteTables::LoadSums(const JobScope& scope) {
  static const std::string kSql = absl::StrCat(
      "SELECT evaluation, round, hour, party, phase, source, quality, scope, \"use\", ", "carbon, ",
      kFigures, " FROM energy_sums ", "WHERE tenant = ? AND population = ? AND job = ?");
  return ReadCells(BindScope(db_->Query(kSql.c_str()), scope));
}

absl::Status SqliteTables::AddClientSums(const JobScope& scope, const std::vector<EnergySum>& sums,
                                         int64_t at_ms) {
  static const std::string kSql = absl::StrCat(
      "INSERT INTO client_sums VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT DO UPDATE SET at_ms = MAX(at_ms, excluded.at_ms), ",
      kAddFigures);
  for (const EnergySum& sum : sums) {
    SqliteQuery query = BindScope(db_->Query(kSql.c_str()), scope);
    query.Bind(sum.label.client)
        .Bind(at_ms)
        .Bind(sum.label.evaluation)
        .Bind(static_cast<int64_t>(sum.label.party));
    BindKind(query, sum.label);
    BindFigures(query, sum.figures);
    FW_RETURN_IF_ERROR(query.Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EnergySum>> SqliteTables::LoadClientSums(const JobScope& scope) {
  static const std::string kSql =
      absl::StrCat("SELECT party, source, quality, scope, \"use\", carbon, client, evaluation, ",
                   kFigures, " FROM client_sums WHERE tenant = ? AND population = ? AND job = ?");
  return ReadSums(BindScope(db_->Query(kSql.c_str()), scope), EnergyAxis::kClient);
}

absl::StatusOr<std::vector<EnergySum>> SqliteTables::SumRows(const JobScope& scope, EnergyAxis axis,
                                                             const EnergyFilter& filter) {
  constexpr int64_t kMsPerHour = 3'600'000;
  constexpr int64_t kMostHours = INT64_MAX / kMsPerHour;
  SqliteQuery query = BindScope(db_->Query(StatementOf(axis)), scope);
  query.Bind(std::clamp(filter.since_hour, -kMostHours, kMostHours) * kMsPerHour)
      .Bind(std::clamp(filter.until_hour.value_or(kMostHours), -kMostHours, kMostHours) *
            kMsPerHour)
      .Bind(NumberOf(filter.phase))
      .Bind(NumberOf(filter.quality))
      .Bind(NumberOf(filter.use))
      .Bind(NumberOf(filter.party))
      .Bind(filter.round ? static_cast<int64_t>(*filter.round) : -1)
      .Bind(filter.source)
      .Bind(filter.client);
  return ReadSums(std::move(query), axis);
}

absl::Status SqliteTables::ForgetInSums(const std::string& tenant, const std::string& population,
                                        const std::string& client) {
  static const std::string kMerge = absl::StrCat(
      "INSERT INTO client_sums SELECT tenant, population, job, '', at_ms, evaluation, party, "
      "source, quality, "
      "scope, \"use\", carbon, ",
      kFigures,
      " FROM client_sums WHERE tenant = ? AND population = ? AND client = ? "
      "ON CONFLICT DO UPDATE SET at_ms = MAX(at_ms, excluded.at_ms), ",
      kAddFigures);
  if (client.empty()) return absl::OkStatus();
  FW_RETURN_IF_ERROR(db_->Query(kMerge.c_str()).Bind(tenant).Bind(population).Bind(client).Run());
  return db_->Query("DELETE FROM client_sums WHERE tenant = ? AND population = ? AND client = ?")
      .Bind(tenant)
      .Bind(population)
      .Bind(client)
      .Run();
}

absl::Status SqliteTables::AddReservation(const JobScope& scope, const RoundKey& key,
                                          uint32_t index, const Reservation& reservation) {
  SqliteQuery query =
      BindAttempt(db_->Query("INSERT OR IGNORE INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
                             "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?)"),
                  scope, key);
  const EnergyForecast& forecast = reservation.forecast;
  query.Bind(static_cast<int64_t>(index))
      .Bind(reservation.client)
      .Bind(reservation.at_ms)
      .Bind(forecast.mean_uj)
      .Bind(forecast.sigma_uj)
      .Bind(forecast.floor_uj)
      .Bind(forecast.ceiling_uj)
      .Bind(forecast.by_prior)
      .Bind(forecast.device_class)
      .Bind(reservation.reserved_uj());
  if (reservation.carbon) {
    query.BindReal(reservation.carbon->g_per_kwh)
        .Bind(CarbonKindText(reservation.carbon->kind))
        .Bind(reservation.carbon->stale);
  } else {
    query.BindNull().Bind("").Bind(0);
  }
  return query.BindReal(forecast.units).Run();
}

absl::StatusOr<std::optional<BudgetEntry>> SqliteTables::GetReservation(const JobScope& scope,
                                                                        const RoundKey& key,
                                                                        uint32_t index) {
  static const std::string kSql = std::string("SELECT ") + kReservationColumns +
                                  " AND evaluation = ? AND round = ? AND attempt = ? AND idx = ?";
  SqliteQuery query = BindAttempt(db_->Query(kSql.c_str()), scope, key);
  FW_ASSIGN_OR_RETURN(const bool found, query.Bind(static_cast<int64_t>(index)).Step());
  if (!found) return std::optional<BudgetEntry>();
  FW_ASSIGN_OR_RETURN(BudgetEntry entry, EntryFrom(query, scope.job));
  return std::optional<BudgetEntry>(std::move(entry));
}

absl::Status SqliteTables::SetBooked(const JobScope& scope, const RoundKey& key, uint32_t index,
                                     const BookedEnergy& booked) {
  return BindAttempt(db_->Query("UPDATE reservations SET booked_uj = ?8, booked_by = ?9 "
                                "WHERE tenant = ?1 AND population = ?2 AND job = ?3 "
                                "AND evaluation = ?4 AND round = ?5 AND attempt = ?6 AND idx = ?7"),
                     scope, key)
      .Bind(static_cast<int64_t>(index))
      .Bind(booked.uj)
      .Bind(static_cast<int64_t>(booked.by))
      .Run();
}

absl::Status SqliteTables::SilenceReservations(const JobScope& scope, const RoundKey& key) {
  return BindAttempt(db_->Query("UPDATE reservations SET booked_uj = reserved_uj, booked_by = ?7 "
                                "WHERE tenant = ?1 AND population = ?2 AND job = ?3 "
                                "AND evaluation = ?4 AND round = ?5 AND attempt = ?6 "
                                "AND booked_uj IS NULL"),
                     scope, key)
      .Bind(static_cast<int64_t>(BookedBy::kSilence))
      .Run();
}

absl::StatusOr<std::vector<BudgetEntry>> SqliteTables::LoadReservations(const JobScope& scope) {
  static const std::string kSql = std::string("SELECT ") + kReservationColumns;
  SqliteQuery query = BindScope(db_->Query(kSql.c_str()), scope);
  std::vector<BudgetEntry> entries;
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return entries;
    FW_ASSIGN_OR_RETURN(BudgetEntry entry, EntryFrom(query, scope.job));
    entries.push_back(std::move(entry));
  }
}

}  // namespace fedwatt
