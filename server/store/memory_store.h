#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "server/store/memory_tables.h"
#include "server/store/retention.h"
#include "server/store/store.h"

namespace fedwatt {

struct MemoryStoreOptions {
  // How long after Write a batch becomes durable. All batches waiting then become durable together.
  int64_t sync_delay_ms = 0;
};

// A store for tests and simulation: the tables and rules of SqliteStore, in memory. Batches become
// durable in a task of `executor`, and that task runs their `done`s: with a ManualExecutor
// everything is deterministic.
//
// It stands for the disk, so it outlives the coordinators that a test kills: LoseUnsynced is the
// power cut. Thread-safe.
class MemoryStore final : public Store {
 public:
  // `executor` must outlive the store; with nullptr batches are durable, and `done` has run, when
  // Write returns.
  explicit MemoryStore(Executor* executor, MemoryStoreOptions options = {});

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
  absl::Status ForgetClient(const std::string& tenant, const std::string& population,
                            const std::string& client) override;
  absl::Status Prune(const RetentionDays& days, int64_t now_ms);

  // Drops what was written and is not durable; its `done`s never run.
  void LoseUnsynced();

  // Batches that are not durable yet.
  size_t unsynced() const;

  // Asked for each batch when it would become durable: a status that is not OK fails it, with
  // nothing applied. An empty function ends it. Stands for the full disk.
  void SetFault(std::function<absl::Status(const std::vector<StoreWrite>&)> fault);

 private:
  struct Waiting {
    std::vector<StoreWrite> batch;
    absl::AnyInvocable<void(absl::Status)> done;
  };
  struct State {
    mutable Mutex mutex;
    MemoryTables tables ABSL_GUARDED_BY(mutex);
    std::deque<Waiting> waiting ABSL_GUARDED_BY(mutex);
    bool sync_posted ABSL_GUARDED_BY(mutex) = false;
    std::function<absl::Status(const std::vector<StoreWrite>&)> fault ABSL_GUARDED_BY(mutex);
  };

  static void Sync(const std::shared_ptr<State>& state);
  static absl::Status ApplyBatch(const std::vector<StoreWrite>& batch, State& state)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mutex);

  Executor* const executor_;
  const MemoryStoreOptions options_;
  // Shared with the tasks posted, which may outlive the store.
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace fedwatt
