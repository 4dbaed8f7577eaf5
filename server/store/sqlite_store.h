#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "common/base/file.h"
#include "common/base/mutex.h"
#include "server/store/retention.h"
#include "server/store/store.h"

namespace fedwatt {

class SqliteDb;
class Tables;

struct SqliteStoreOptions {
  std::string dir;                  // holds fedwatt.db and store.lock; created if missing
  uint64_t max_database_bytes = 0;  // 0: what the disk has
  uint32_t max_queued_batches = 4096;
};

// The embedded store: one SQLite database in WAL mode, every commit synced.
//
// One thread writes. All batches that wait are committed in one transaction. When one cannot be
// applied, the transaction is undone and made again with a savepoint for each, so that it takes no
// other down. Then their `done`s run, on that thread: they should only pass the news on. Write
// blocks while max_queued_batches wait (never when called from a `done`). Destruction commits what
// is queued. Thread-safe.
class SqliteStore final : public Store {
 public:
  // FAILED_PRECONDITION: another process (named by its pid) has the folder open, or a newer program
  // wrote the database. DATA_LOSS: it is damaged.
  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(const SqliteStoreOptions& options);
  ~SqliteStore() override;

  void Write(std::vector<StoreWrite> batch, absl::AnyInvocable<void(absl::Status)> done) override;
  absl::StatusOr<std::vector<JobRecord>> LoadJobs() override;
  absl::StatusOr<std::vector<LogRecord>> LoadLog(const std::string& job) override;
  absl::StatusOr<std::optional<RoundCommitted>> LastCommit(const std::string& job) override;
  absl::StatusOr<std::vector<ModelRef>> LoadModels(const std::string& job) override;
  absl::StatusOr<std::vector<RoundSummary>> LoadRounds(const std::string& job) override;
  absl::StatusOr<std::vector<ClientHistory>> LoadHistory(const std::string& job) override;
  absl::StatusOr<std::optional<AssignmentRecord>> FindAssignment(const std::string& id) override;
  absl::StatusOr<std::vector<EnergyTotal>> EnergyTotals(const std::string& job) override;
  absl::StatusOr<std::vector<EnergySum>> EnergySums(const std::string& job, EnergyAxis axis,
                                                    const EnergyFilter& filter) override;
  absl::StatusOr<std::vector<BudgetEntry>> LoadReservations(const std::string& job) override;

  // These two wait for the writer; not from a `done`.
  absl::Status ForgetClient(const std::string& tenant, const std::string& population,
                            const std::string& client) override;
  absl::Status Prune(const RetentionDays& days, int64_t now_ms);

 private:
  // `apply` may run several times, each after everything that it did was undone.
  struct Change {
    std::function<absl::Status(Tables&)> apply;
    absl::AnyInvocable<void(absl::Status)> done;
    absl::Status status;
  };

  SqliteStore(FileLock lock, std::unique_ptr<SqliteDb> writer, std::unique_ptr<SqliteDb> reader,
              uint32_t max_queued);

  void Enqueue(Change change);
  absl::Status ApplyAndWait(std::function<absl::Status(Tables&)> apply);
  void WriteLoop();
  void CommitGroup(std::span<Change> group);
  absl::Status CommitPlain(std::span<Change> group);
  absl::Status CommitTogether(std::span<Change> group);
  absl::Status CommitOrRollBack(absl::Status status);

  template <typename Result>
  absl::StatusOr<Result> Read(const std::function<absl::StatusOr<Result>(Tables&)>& read);

  const FileLock lock_;
  const uint32_t max_queued_;

  const std::unique_ptr<SqliteDb> writer_;       // used by thread_ only
  const std::unique_ptr<Tables> writer_tables_;  // likewise

  Mutex read_mutex_;
  const std::unique_ptr<SqliteDb> reader_ ABSL_PT_GUARDED_BY(read_mutex_);
  const std::unique_ptr<Tables> reader_tables_ ABSL_PT_GUARDED_BY(read_mutex_);

  Mutex mutex_;
  CondVar changed_;  // the queue has grown or shrunk, or stopping_
  std::vector<Change> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace fedwatt
