#include "server/store/sqlite_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/projection.h"
#include "server/store/sqlite_db.h"
#include "server/store/sqlite_schema.h"
#include "server/store/sqlite_tables.h"
#include "server/store/table_reads.h"

namespace fedwatt {
namespace {

absl::Status LimitSize(SqliteDb& db, uint64_t max_bytes) {
  if (max_bytes == 0) return absl::OkStatus();
  int64_t page_size = 4096;
  {
    SqliteQuery query = db.Query("PRAGMA page_size");
    FW_RETURN_IF_ERROR(query.Step().status());
    page_size = query.Int(0);
  }
  return db.Exec(
      absl::StrCat("PRAGMA max_page_count = ", max_bytes / static_cast<uint64_t>(page_size)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const SqliteStoreOptions& options) {
  FW_RETURN_IF_ERROR(EnsureDir(options.dir));
  FW_ASSIGN_OR_RETURN(FileLock lock, FileLock::Acquire(absl::StrCat(options.dir, "/store.lock")));
  const std::string path = absl::StrCat(options.dir, "/fedwatt.db");
  FW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteDb> writer, SqliteDb::Open(path));
  FW_RETURN_IF_ERROR(ConfigureDatabase(*writer));
  FW_RETURN_IF_ERROR(CheckIntegrity(*writer));
  FW_RETURN_IF_ERROR(MigrateSchema(*writer));
  FW_RETURN_IF_ERROR(LimitSize(*writer, options.max_database_bytes));
  FW_RETURN_IF_ERROR(FsyncDir(options.dir));
  FW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteDb> reader, SqliteDb::Open(path));
  FW_RETURN_IF_ERROR(reader->Exec("PRAGMA query_only = ON"));
  return std::unique_ptr<SqliteStore>(new SqliteStore(
      std::move(lock), std::move(writer), std::move(reader), options.max_queued_batches));
}

SqliteStore::SqliteStore(FileLock lock, std::unique_ptr<SqliteDb> writer,
                         std::unique_ptr<SqliteDb> reader, uint32_t max_queued)
    : lock_(std::move(lock)),
      max_queued_(max_queued),
      writer_(std::move(writer)),
      writer_tables_(std::make_unique<SqliteTables>(writer_.get())),
      reader_(std::move(reader)),
      reader_tables_(std::make_unique<SqliteTables>(reader_.get())),
      thread_([this] { WriteLoop(); }) {}

SqliteStore::~SqliteStore() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

// ---- writing

void SqliteStore::Enqueue(Change change) {
  MutexLock lock(&mutex_);
  const bool from_done = std::this_thread::get_id() == thread_.get_id();
  while (queue_.size() >= max_queued_ && !from_done) changed_.Wait(&mutex_);
  queue_.push_back(std::move(change));
  changed_.NotifyAll();
}

void SqliteStore::Write(std::vector<StoreWrite> batch,
                        absl::AnyInvocable<void(absl::Status)> done) {
  auto apply = [batch = std::move(batch)](Tables& tables) -> absl::Status {
    return Apply(batch, tables);
  };
  Enqueue({std::move(apply), std::move(done), absl::OkStatus()});
}

absl::Status SqliteStore::ApplyAndWait(std::function<absl::Status(Tables&)> apply) {
  Mutex mutex;
  CondVar finished;
  std::optional<absl::Status> result;
  Enqueue({std::move(apply),
           [&](const absl::Status& status) {
             MutexLock lock(&mutex);
             result = status;
             finished.NotifyAll();
           },
           absl::OkStatus()});
  MutexLock lock(&mutex);
  while (!result) finished.Wait(&mutex);
  return *result;
}

void SqliteStore::WriteLoop() {
  for (;;) {
    std::vector<Change> group;
    {
      MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (queue_.empty()) return;
      group.swap(queue_);
      changed_.NotifyAll();
    }
    CommitGroup(group);
    for (Change& change : group) change.done(change.status);
  }
}

void SqliteStore::CommitGroup(std::span<Change> group) {
  if (CommitPlain(group).ok()) return;
  const absl::Status together = CommitTogether(group);
  if (together.ok()) return;
  if (group.size() == 1) {
    group.front().status = together;
    return;
  }
  // A full disk undoes the whole transaction: alone, those that still fit go through.
  for (Change& change : group) {
    if (const absl::Status alone = CommitTogether({&change, 1}); !alone.ok()) change.status = alone;
  }
}

// Savepoints cost two statements each, and hardly ever does a change fail.
absl::Status SqliteStore::CommitPlain(std::span<Change> group) {
  absl::Status status = writer_->Query("BEGIN IMMEDIATE").Run();
  for (Change& change : group) {
    if (status.ok()) status = change.apply(*writer_tables_);
    if (!status.ok()) break;
    change.status = absl::OkStatus();
  }
  return CommitOrRollBack(std::move(status));
}

absl::Status SqliteStore::CommitTogether(std::span<Change> group) {
  absl::Status status = writer_->Query("BEGIN IMMEDIATE").Run();
  for (Change& change : group) {
    if (status.ok()) status = writer_->Query("SAVEPOINT change").Run();
    if (!status.ok()) break;
    change.status = change.apply(*writer_tables_);
    if (!writer_->InTransaction()) {  // SQLite has rolled it all back by itself
      status = change.status;
    } else if (!change.status.ok()) {
      status = writer_->Exec("ROLLBACK TO change; RELEASE change");
    } else {
      status = writer_->Query("RELEASE change").Run();
    }
  }
  return CommitOrRollBack(std::move(status));
}

absl::Status SqliteStore::CommitOrRollBack(absl::Status status) {
  if (status.ok()) status = writer_->Query("COMMIT").Run();
  if (!status.ok() && writer_->InTransaction()) writer_->Exec("ROLLBACK").IgnoreError();
  return status;
}

absl::Status SqliteStore::ForgetClient(const std::string& tenant, const std::string& population,
                                       const std::string& client) {
  return ApplyAndWait(
      [=](Tables& tables) { return tables.ForgetClient(tenant, population, client); });
}

absl::Status SqliteStore::Prune(const RetentionDays& days, int64_t now_ms) {
  return ApplyAndWait([=](Tables& tables) { return fedwatt::Prune(days, now_ms, tables); });
}

// ---- reading

template <typename Result>
absl::StatusOr<Result> SqliteStore::Read(
    const std::function<absl::StatusOr<Result>(Tables&)>& read) {
  MutexLock lock(&read_mutex_);
  return read(*reader_tables_);
}

absl::StatusOr<std::vector<JobRecord>> SqliteStore::LoadJobs() {
  return Read<std::vector<JobRecord>>([](Tables& tables) { return tables.LoadJobs(); });
}

absl::StatusOr<std::vector<LogRecord>> SqliteStore::LoadLog(const std::string& job) {
  return Read<std::vector<LogRecord>>(
      [&job](Tables& tables) { return ReadJob(tables, job, &Tables::LoadLog); });
}

absl::StatusOr<std::optional<RoundCommitted>> SqliteStore::LastCommit(const std::string& job) {
  return Read<std::optional<RoundCommitted>>(
      [&job](Tables& tables) { return ReadJob(tables, job, &Tables::LastCommit); });
}

absl::StatusOr<std::vector<ModelRef>> SqliteStore::LoadModels(const std::string& job) {
  return Read<std::vector<ModelRef>>(
      [&job](Tables& tables) { return ReadJob(tables, job, &Tables::LoadModels); });
}

absl::StatusOr<std::vector<RoundSummary>> SqliteStore::LoadRounds(const std::string& job) {
  return Read<std::vector<RoundSummary>>(
      [&job](Tables& tables) { return ReadJob(tables, job, &Tables::LoadRounds); });
}

absl::StatusOr<std::vector<ClientHistory>> SqliteStore::LoadHistory(const std::string& job) {
  return Read<std::vector<ClientHistory>>(
      [&job](Tables& tables) { return ReadJob(tables, job, &Tables::LoadHistory); });
}

absl::StatusOr<std::optional<AssignmentRecord>> SqliteStore::FindAssignment(const std::string& id) {
  return Read<std::optional<AssignmentRecord>>(
      [&id](Tables& tables) { return ReadAssignment(tables, id); });
}

absl::StatusOr<std::vector<EnergySum>> SqliteStore::EnergySums(const std::string& job,
                                                               EnergyAxis axis,
                                                               const EnergyFilter& filter) {
  return Read<std::vector<EnergySum>>(
      [&](Tables& tables) { return ReadSums(tables, job, axis, filter); });
}

absl::StatusOr<std::vector<BudgetEntry>> SqliteStore::LoadReservations(const std::string& job) {
  return Read<std::vector<BudgetEntry>>(
      [&job](Tables& tables) { return ReadJob(tables, job, &Tables::LoadReservations); });
}

absl::StatusOr<std::vector<EnergyTotal>> SqliteStore::EnergyTotals(const std::string& job) {
  return Read<std::vector<EnergyTotal>>(
      [&job](Tables& tables) { return ReadJob(tables, job, &Tables::LoadTotals); });
}

}  // namespace fedwatt
