#pragma once

// One SQLite connection, with statements prepared once and errors as absl::Status. Internal to
// server/store.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fedwatt {

class SqliteDb;

// One run of a prepared statement: bind the parameters in order, then Step through the rows, or
// Run. Destruction frees the statement for the next run. An error in binding shows in Step.
class SqliteQuery {
 public:
  SqliteQuery(SqliteQuery&& other) noexcept;
  ~SqliteQuery();

  SqliteQuery& Bind(int64_t value);
  SqliteQuery& Bind(std::string_view text);
  SqliteQuery& BindReal(double value);
  SqliteQuery& BindBlob(std::string_view bytes);
  SqliteQuery& BindNull();

  absl::StatusOr<bool> Step();  // false: no further row
  absl::Status Run();           // to the end

  // Columns of the row, from 0.
  int64_t Int(int column) const;
  double Real(int column) const;
  std::string Bytes(int column) const;  // text or blob
  bool IsNull(int column) const;

 private:
  friend class SqliteDb;
  SqliteQuery(SqliteDb* db, sqlite3_stmt* statement, int error);

  SqliteDb* db_;
  sqlite3_stmt* statement_;
  int next_ = 1;
  int error_;
};

// One thread at a time.
class SqliteDb {
 public:
  // Creates the file if it is missing.
  static absl::StatusOr<std::unique_ptr<SqliteDb>> Open(const std::string& path);
  ~SqliteDb();
  SqliteDb(const SqliteDb&) = delete;
  SqliteDb& operator=(const SqliteDb&) = delete;

  // Statements without parameters, separated by semicolons.
  absl::Status Exec(const std::string& sql);

  // `sql` is a literal: its address is the key under which the statement is kept.
  SqliteQuery Query(const char* sql);

  // Rows that the last Run changed.
  int64_t Changes() const;

  bool InTransaction() const;

  const std::string& path() const { return path_; }

  // RESOURCE_EXHAUSTED with the bytes free when the disk or the database is full, DATA_LOSS when
  // the file is corrupt or no database, else INTERNAL; each names the file.
  absl::Status Error(int code) const;

 private:
  SqliteDb(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}

  const std::string path_;
  sqlite3* const db_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace fedwatt
