#include "server/store/sqlite_schema.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// Step i leads from version i to i + 1. A step that has been released is never edited.
//
// Enum columns hold the numbers of server/store/store.h and common/energy/energy_sample.h.
constexpr const char* kSteps[] = {
    R"(
CREATE TABLE jobs (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  record BLOB NOT NULL,                   -- StoredJob
  PRIMARY KEY (tenant, population, job)) WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_by_id ON jobs (job);

CREATE TABLE log (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  seq INTEGER NOT NULL,                   -- ascending within a job
  evaluation INTEGER NOT NULL, round INTEGER NOT NULL,
  names_clients INTEGER NOT NULL,
  ends_evaluation INTEGER NOT NULL,
  record BLOB NOT NULL,                   -- LogRecord
  PRIMARY KEY (tenant, population, job, seq)) WITHOUT ROWID;

CREATE TABLE commits (                    -- the last one of each job
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  record BLOB NOT NULL,                   -- LogRecord
  PRIMARY KEY (tenant, population, job)) WITHOUT ROWID;

CREATE TABLE assignments (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  evaluation INTEGER NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  client TEXT NOT NULL,                   -- pseudonym; empty once forgotten
  state INTEGER NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY (tenant, population, job, evaluation, round, attempt, idx)) WITHOUT ROWID;

CREATE TABLE energy (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  evaluation INTEGER NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
  idx INTEGER NOT NULL,                   -- of the assignment
  phase INTEGER NOT NULL, source TEXT NOT NULL,
  client TEXT NOT NULL,
  quality INTEGER NOT NULL, scope INTEGER NOT NULL,
  energy_uj INTEGER, sigma_uj INTEGER,    -- NULL: unavailable, which is not zero
  machine_energy_uj INTEGER,
  idle_subtracted INTEGER NOT NULL, coverage REAL NOT NULL,
  duration_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
  reason TEXT NOT NULL,
  "use" INTEGER NOT NULL,                 -- 1 pending, 2 useful, 3 wasted
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (tenant, population, job, evaluation, round, attempt, idx, phase, source))
  WITHOUT ROWID;

CREATE TABLE energy_totals (              -- of the samples that are no longer pending
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  source TEXT NOT NULL, quality INTEGER NOT NULL, scope INTEGER NOT NULL,
  useful_uj INTEGER NOT NULL, wasted_uj INTEGER NOT NULL,
  samples INTEGER NOT NULL, unavailable INTEGER NOT NULL,
  PRIMARY KEY (tenant, population, job, source, quality, scope)) WITHOUT ROWID;

CREATE TABLE history (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  client TEXT NOT NULL,
  participations INTEGER NOT NULL, last_round INTEGER NOT NULL,
  last_loss BLOB, last_seconds REAL,      -- LossSums
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (tenant, population, job, client)) WITHOUT ROWID;

CREATE TABLE rounds (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  round INTEGER NOT NULL,
  summary BLOB NOT NULL,                  -- RoundSummary
  PRIMARY KEY (tenant, population, job, round)) WITHOUT ROWID;

CREATE TABLE models (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  round INTEGER NOT NULL,
  model BLOB NOT NULL,                    -- ModelRef
  PRIMARY KEY (tenant, population, job, round)) WITHOUT ROWID;
)",
    R"(
ALTER TABLE assignments ADD COLUMN codec TEXT NOT NULL DEFAULT '';  -- of the update
ALTER TABLE assignments ADD COLUMN codec_reason TEXT NOT NULL DEFAULT '';
)",
    R"(
ALTER TABLE history ADD COLUMN cost BLOB;  -- StoredCostHistory
)",
    R"(
ALTER TABLE energy ADD COLUMN carbon TEXT NOT NULL DEFAULT '';  -- kind of the grams; '': none
ALTER TABLE energy ADD COLUMN micrograms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE energy ADD COLUMN stale_micrograms INTEGER NOT NULL DEFAULT 0;

CREATE TABLE energy_sums (                -- of the samples that are no longer pending
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  evaluation INTEGER NOT NULL, round INTEGER NOT NULL,
  hour INTEGER NOT NULL,                  -- since the epoch, of the report
  party INTEGER NOT NULL,                 -- 1 clients, 2 the coordinator
  phase INTEGER NOT NULL, source TEXT NOT NULL,
  quality INTEGER NOT NULL, scope INTEGER NOT NULL,
  "use" INTEGER NOT NULL,                 -- 1 useful, 2 wasted
  carbon TEXT NOT NULL,
  energy_uj INTEGER NOT NULL, sigma_uj INTEGER NOT NULL,
  samples INTEGER NOT NULL, unavailable INTEGER NOT NULL,
  duration_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
  micrograms INTEGER NOT NULL, stale_micrograms INTEGER NOT NULL,
  PRIMARY KEY (tenant, population, job, evaluation, round, hour, party, phase, source, quality,
               scope, "use", carbon)) WITHOUT ROWID;
INSERT INTO energy_sums
  SELECT tenant, population, job, evaluation, round, at_ms / 3600000, 1, phase, source, quality,
         scope, "use" - 1, '', CAST(TOTAL(energy_uj) AS INTEGER), CAST(TOTAL(sigma_uj) AS INTEGER),
         COUNT(*), COUNT(*) - COUNT(energy_uj), CAST(TOTAL(duration_us) AS INTEGER),
         CAST(TOTAL(bytes) AS INTEGER), 0, 0
  FROM energy WHERE "use" > 1 GROUP BY 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12;

CREATE TABLE reservations (               -- of budgets; one for each assignment
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  evaluation INTEGER NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  client TEXT NOT NULL, at_ms INTEGER NOT NULL,
  mean_uj INTEGER NOT NULL, sigma_uj INTEGER NOT NULL,
  floor_uj INTEGER NOT NULL, ceiling_uj INTEGER NOT NULL, by_prior INTEGER NOT NULL,
  device_class TEXT NOT NULL,
  reserved_uj INTEGER NOT NULL,
  g_per_kwh REAL, carbon TEXT NOT NULL, stale INTEGER NOT NULL,
  booked_uj INTEGER, booked_by INTEGER,   -- NULL: open; BookedBy of server/ledger/budget_book.h
  PRIMARY KEY (tenant, population, job, evaluation, round, attempt, idx)) WITHOUT ROWID;
)",
    // One (phase, source) may have rows of several qualities: an upload is estimated, then
    // measured.
    R"(
CREATE TABLE energy_by_part (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  evaluation INTEGER NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
  idx INTEGER NOT NULL,                   -- of the assignment
  part INTEGER NOT NULL,                  -- of its rows, from 0
  phase INTEGER NOT NULL, source TEXT NOT NULL,
  client TEXT NOT NULL,
  quality INTEGER NOT NULL, scope INTEGER NOT NULL,
  energy_uj INTEGER, sigma_uj INTEGER,    -- NULL: unavailable, which is not zero
  machine_energy_uj INTEGER,
  idle_subtracted INTEGER NOT NULL, coverage REAL NOT NULL,
  duration_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
  reason TEXT NOT NULL,
  "use" INTEGER NOT NULL,                 -- 1 pending, 2 useful, 3 wasted
  at_ms INTEGER NOT NULL,
  carbon TEXT NOT NULL,                   -- kind of the grams; '': none
  micrograms INTEGER NOT NULL, stale_micrograms INTEGER NOT NULL,
  PRIMARY KEY (tenant, population, job, evaluation, round, attempt, idx, part)) WITHOUT ROWID;
INSERT INTO energy_by_part
  SELECT tenant, population, job, evaluation, round, attempt, idx,
         ROW_NUMBER() OVER (PARTITION BY tenant, population, job, evaluation, round, attempt, idx
                            ORDER BY phase, source) - 1,
         phase, source, client, quality, scope, energy_uj, sigma_uj, machine_energy_uj,
         idle_subtracted, coverage, duration_us, bytes, reason, "use", at_ms, carbon, micrograms,
         stale_micrograms
  FROM energy;
DROP TABLE energy;
ALTER TABLE energy_by_part RENAME TO energy;

CREATE TABLE client_sums (                -- of a job's whole life
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  client TEXT NOT NULL,                   -- pseudonym; empty: the forgotten, and the coordinator
  at_ms INTEGER NOT NULL,                 -- of the last change
  evaluation INTEGER NOT NULL,
  party INTEGER NOT NULL, source TEXT NOT NULL,
  quality INTEGER NOT NULL, scope INTEGER NOT NULL,
  "use" INTEGER NOT NULL, carbon TEXT NOT NULL,
  energy_uj INTEGER NOT NULL, sigma_uj INTEGER NOT NULL,
  samples INTEGER NOT NULL, unavailable INTEGER NOT NULL,
  duration_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
  micrograms INTEGER NOT NULL, stale_micrograms INTEGER NOT NULL,
  PRIMARY KEY (tenant, population, job, client, evaluation, party, source, quality, scope, "use",
               carbon)) WITHOUT ROWID;
INSERT INTO client_sums
  SELECT tenant, population, job, client, MAX(at_ms), evaluation, CASE idx WHEN 4294967295 THEN 2 ELSE 1 END,
         source, quality, scope, "use" - 1, carbon, CAST(TOTAL(energy_uj) AS INTEGER),
         CAST(TOTAL(sigma_uj) AS INTEGER), COUNT(*), COUNT(*) - COUNT(energy_uj),
         CAST(TOTAL(duration_us) AS INTEGER), CAST(TOTAL(bytes) AS INTEGER),
         CAST(TOTAL(micrograms) AS INTEGER), CAST(TOTAL(stale_micrograms) AS INTEGER)
  FROM energy WHERE "use" > 1 GROUP BY 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12;

ALTER TABLE reservations ADD COLUMN units REAL NOT NULL DEFAULT 0;  -- of work; 0: not known
)",
    R"(
ALTER TABLE history ADD COLUMN sketch BLOB;  -- kSketchSize float32, little-endian
)",
};
static_assert(std::size(kSteps) == kSchemaVersion);

absl::StatusOr<int64_t> ReadVersion(SqliteDb& db) {
  FW_RETURN_IF_ERROR(
      db.Exec("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"));
  SqliteQuery query = db.Query("SELECT version FROM schema_version");
  FW_ASSIGN_OR_RETURN(const bool found, query.Step());
  return found ? query.Int(0) : 0;
}

}  // namespace

absl::Status ConfigureDatabase(SqliteDb& db) {
  return db.Exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;"
      "PRAGMA journal_size_limit = 67108864");
}

absl::Status CheckIntegrity(SqliteDb& db) {
  SqliteQuery query = db.Query("PRAGMA quick_check(1)");
  FW_ASSIGN_OR_RETURN(const bool found, query.Step());
  const std::string verdict = found ? query.Bytes(0) : "no answer";
  if (verdict == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("database ", db.path(), " is damaged: ", verdict,
                                          "; restore it from a backup, or move it away to start "
                                          "anew"));
}

absl::Status MigrateSchema(SqliteDb& db) {
  FW_ASSIGN_OR_RETURN(int64_t version, ReadVersion(db));
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("database ", db.path(), " has schema version ", version,
                     ", and this program knows versions up to ", kSchemaVersion,
                     "; run the newer program that wrote it"));
  }
  for (; version < kSchemaVersion; ++version) {
    FW_RETURN_IF_ERROR(db.Exec(absl::StrCat("BEGIN IMMEDIATE;", kSteps[version],
                                            "DELETE FROM schema_version;"
                                            "INSERT INTO schema_version VALUES (",
                                            version + 1, "); COMMIT")));
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
