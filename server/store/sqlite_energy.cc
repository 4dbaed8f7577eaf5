// The ledger's sums and the budgets' reservations.

#include <utility>

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

// evaluation, round, hour, party, phase, source, quality, scope, use, carbon, and the figures.
absl::StatusOr<std::vector<EnergySum>> ReadSums(SqliteQuery query, bool by_client) {
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
    if (by_client) sum.label.client = query.Bytes(18);
  }
}

constexpr char kReservationColumns[] =
    "evaluation, round, attempt, idx, client, at_ms, mean_uj, sigma_uj, floor_uj, ceiling_uj, "
    "by_prior, device_class, g_per_kwh, carbon, stale, booked_uj, booked_by FROM reservations "
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
  reservation.forecast = {query.Int(6), query.Int(7),       query.Int(8),
                          query.Int(9), query.Int(10) != 0, query.Bytes(11)};
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
  for (const EnergySum& sum : sums) {
    const EnergyLabel& label = sum.label;
    const EnergyFigures& figures = sum.figures;
    // Past int64 SQLite goes on in floating point, and reads such a sum as the greatest int64.
    SqliteQuery query = BindScope(
        db_->Query("INSERT INTO energy_sums VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                   "?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                   "energy_uj = energy_uj + excluded.energy_uj, "
                   "sigma_uj = sigma_uj + excluded.sigma_uj, "
                   "samples = samples + excluded.samples, "
                   "unavailable = unavailable + excluded.unavailable, "
                   "duration_us = duration_us + excluded.duration_us, "
                   "bytes = bytes + excluded.bytes, "
                   "micrograms = micrograms + excluded.micrograms, "
                   "stale_micrograms = stale_micrograms + excluded.stale_micrograms"),
        scope);
    query.Bind(label.evaluation)
        .Bind(static_cast<int64_t>(label.round))
        .Bind(label.hour)
        .Bind(static_cast<int64_t>(label.party))
        .Bind(static_cast<int64_t>(label.phase.value_or(Phase::kTrain)))
        .Bind(label.source)
        .Bind(static_cast<int64_t>(label.quality))
        .Bind(static_cast<int64_t>(label.scope))
        .Bind(static_cast<int64_t>(label.use))
        .Bind(label.carbon);
    query.Bind(figures.energy_uj)
        .Bind(figures.sigma_uj)
        .Bind(static_cast<int64_t>(figures.samples))
        .Bind(static_cast<int64_t>(figures.unavailable))
        .Bind(figures.duration_us)
        .Bind(static_cast<int64_t>(figures.bytes))
        .Bind(figures.micrograms)
        .Bind(figures.stale_micrograms);
    FW_RETURN_IF_ERROR(query.Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EnergySum>> SqliteTables::LoadSums(const JobScope& scope) {
  return ReadSums(
      BindScope(db_->Query("SELECT evaluation, round, hour, party, phase, source, quality, scope, "
                           "\"use\", carbon, energy_uj, sigma_uj, samples, unavailable, "
                           "duration_us, bytes, micrograms, stale_micrograms FROM energy_sums "
                           "WHERE tenant = ? AND population = ? AND job = ?"),
                scope),
      false);
}

absl::StatusOr<std::vector<EnergySum>> SqliteTables::LoadClientSums(const JobScope& scope) {
  // TOTAL is exact to 2^53 uJ (9 GJ); SUM would fail, not saturate, on what only a liar claims.
  return ReadSums(
      BindScope(
          db_->Query("SELECT evaluation, round, at_ms / 3600000, "
                     "CASE idx WHEN 4294967295 THEN 2 ELSE 1 END, phase, source, quality, scope, "
                     "\"use\" - 1, carbon, CAST(TOTAL(energy_uj) AS INTEGER), "
                     "CAST(TOTAL(sigma_uj) AS INTEGER), COUNT(*), COUNT(*) - COUNT(energy_uj), "
                     "CAST(TOTAL(duration_us) AS INTEGER), CAST(TOTAL(bytes) AS INTEGER), "
                     "CAST(TOTAL(micrograms) AS INTEGER), "
                     "CAST(TOTAL(stale_micrograms) AS INTEGER), client FROM energy "
                     "WHERE tenant = ? AND population = ? AND job = ? AND \"use\" > 1 "
                     "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, client"),
          scope),
      true);
}

absl::Status SqliteTables::AddReservation(const JobScope& scope, const RoundKey& key,
                                          uint32_t index, const Reservation& reservation) {
  SqliteQuery query =
      BindAttempt(db_->Query("INSERT OR IGNORE INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
                             "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)"),
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
  return query.Run();
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
