#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/store/sqlite_db.h"

namespace fedwatt {

// The schema version that this program writes.
inline constexpr int kSchemaVersion = 6;

// Brings an open database, new or of an earlier version, to kSchemaVersion, each step in a
// transaction of its own. FAILED_PRECONDITION if a newer program made it.
absl::Status MigrateSchema(SqliteDb& db);

// Journal in WAL mode, every commit synced.
absl::Status ConfigureDatabase(SqliteDb& db);

// PRAGMA quick_check: DATA_LOSS naming the file and what is wrong.
absl::Status CheckIntegrity(SqliteDb& db);

}  // namespace fedwatt
