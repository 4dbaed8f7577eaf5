#include "server/store/sqlite_db.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// Another process may read the database for a moment, such as a backup.
constexpr int kBusyTimeoutMs = 5000;

}  // namespace

SqliteQuery::SqliteQuery(SqliteDb* db, sqlite3_stmt* statement, int error)
    : db_(db), statement_(statement), error_(error) {}

SqliteQuery::SqliteQuery(SqliteQuery&& other) noexcept
    : db_(other.db_),
      statement_(std::exchange(other.statement_, nullptr)),
      next_(other.next_),
      error_(other.error_) {}

SqliteQuery::~SqliteQuery() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

SqliteQuery& SqliteQuery::Bind(int64_t value) {
  if (error_ == SQLITE_OK) error_ = sqlite3_bind_int64(statement_, next_++, value);
  return *this;
}

SqliteQuery& SqliteQuery::Bind(std::string_view text) {
  if (error_ == SQLITE_OK) {
    error_ = sqlite3_bind_text64(statement_, next_++, text.data(), text.size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
  }
  return *this;
}

SqliteQuery& SqliteQuery::BindBlob(std::string_view bytes) {
  if (error_ == SQLITE_OK) {
    error_ = sqlite3_bind_blob64(statement_, next_++, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  }
  return *this;
}

SqliteQuery& SqliteQuery::BindReal(double value) {
  if (error_ == SQLITE_OK) error_ = sqlite3_bind_double(statement_, next_++, value);
  return *this;
}

SqliteQuery& SqliteQuery::BindNull() {
  if (error_ == SQLITE_OK) error_ = sqlite3_bind_null(statement_, next_++);
  return *this;
}

absl::StatusOr<bool> SqliteQuery::Step() {
  if (error_ == SQLITE_OK) {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    error_ = code;
  }
  return db_->Error(error_);
}

absl::Status SqliteQuery::Run() {
  for (;;) {
    FW_ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return absl::OkStatus();
  }
}

int64_t SqliteQuery::Int(int column) const { return sqlite3_column_int64(statement_, column); }

double SqliteQuery::Real(int column) const { return sqlite3_column_double(statement_, column); }

std::string SqliteQuery::Bytes(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return size == 0 ? std::string() : std::string(data, size);
}

bool SqliteQuery::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

absl::StatusOr<std::unique_ptr<SqliteDb>> SqliteDb::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<SqliteDb> db(new SqliteDb(path, handle));
  if (code != SQLITE_OK) return db->Error(code);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  return db;
}

SqliteDb::~SqliteDb() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

absl::Status SqliteDb::Exec(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

SqliteQuery SqliteDb::Query(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  int code = SQLITE_OK;
  if (statement == nullptr) {
    code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  }
  return SqliteQuery(this, statement, code);
}

int64_t SqliteDb::Changes() const { return sqlite3_changes64(db_); }

bool SqliteDb::InTransaction() const { return sqlite3_get_autocommit(db_) == 0; }

absl::Status SqliteDb::Error(int code) const {
  const std::string message =
      absl::StrCat("database ", path_, ": ", db_ == nullptr ? "no memory" : sqlite3_errmsg(db_),
                   " (SQLite error ", code, ")");
  switch (code & 0xff) {
    case SQLITE_FULL: {
      const absl::StatusOr<uint64_t> free = FreeDiskBytes(DirName(path_));
      return absl::ResourceExhaustedError(absl::StrCat(
          message, "; the disk has ", free.ok() ? absl::StrCat(*free) : std::string("unknown"),
          " bytes free; make room and try again"));
    }
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(
          absl::StrCat(message, "; restore it from a backup, or move it away to start anew"));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::PermissionDeniedError(
          absl::StrCat(message, "; check the owner and mode of the file and its folder"));
    default:
      return absl::InternalError(message);
  }
}

}  // namespace fedwatt
