#include "server/store/memory_store.h"

#include <utility>

#include "common/base/status_macros.h"
#include "server/store/projection.h"
#include "server/store/table_reads.h"

namespace fedwatt {

MemoryStore::MemoryStore(Executor* executor, MemoryStoreOptions options)
    : executor_(executor), options_(options) {}

void MemoryStore::Write(std::vector<StoreWrite> batch,
                        absl::AnyInvocable<void(absl::Status)> done) {
  bool post = false;
  {
    MutexLock lock(&state_->mutex);
    state_->waiting.push_back({std::move(batch), std::move(done)});
    post = executor_ != nullptr && !std::exchange(state_->sync_posted, true);
  }
  if (executor_ == nullptr) {
    Sync(state_);
  } else if (post) {
    executor_->PostAfter(options_.sync_delay_ms, [state = state_] { Sync(state); });
  }
}

absl::Status MemoryStore::ApplyBatch(const std::vector<StoreWrite>& batch, State& state) {
  if (state.fault) FW_RETURN_IF_ERROR(state.fault(batch));
  return Apply(batch, state.tables);
}

void MemoryStore::Sync(const std::shared_ptr<State>& state) {
  std::vector<std::pair<absl::AnyInvocable<void(absl::Status)>, absl::Status>> finished;
  {
    MutexLock lock(&state->mutex);
    state->sync_posted = false;
    while (!state->waiting.empty()) {
      Waiting next = std::move(state->waiting.front());
      state->waiting.pop_front();
      finished.emplace_back(std::move(next.done), ApplyBatch(next.batch, *state));
    }
  }
  for (auto& [done, status] : finished) done(status);
}

void MemoryStore::LoseUnsynced() {
  std::deque<Waiting> lost;
  MutexLock lock(&state_->mutex);
  lost.swap(state_->waiting);
  state_->sync_posted = false;  // the executor may have died with its tasks
}

size_t MemoryStore::unsynced() const {
  MutexLock lock(&state_->mutex);
  return state_->waiting.size();
}

void MemoryStore::SetFault(std::function<absl::Status(const std::vector<StoreWrite>&)> fault) {
  MutexLock lock(&state_->mutex);
  state_->fault = std::move(fault);
}

absl::StatusOr<std::vector<JobRecord>> MemoryStore::LoadJobs() {
  MutexLock lock(&state_->mutex);
  return state_->tables.LoadJobs();
}

absl::StatusOr<std::vector<LogRecord>> MemoryStore::LoadLog(const std::string& job) {
  MutexLock lock(&state_->mutex);
  return ReadJob(state_->tables, job, &Tables::LoadLog);
}

absl::StatusOr<std::optional<RoundCommitted>> MemoryStore::LastCommit(const std::string& job) {
  MutexLock lock(&state_->mutex);
  return ReadJob(state_->tables, job, &Tables::LastCommit);
}

absl::StatusOr<std::vector<ModelRef>> MemoryStore::LoadModels(const std::string& job) {
  MutexLock lock(&state_->mutex);
  return ReadJob(state_->tables, job, &Tables::LoadModels);
}

absl::StatusOr<std::vector<RoundSummary>> MemoryStore::LoadRounds(const std::string& job) {
  MutexLock lock(&state_->mutex);
  return ReadJob(state_->tables, job, &Tables::LoadRounds);
}

absl::StatusOr<std::vector<ClientHistory>> MemoryStore::LoadHistory(const std::string& job) {
  MutexLock lock(&state_->mutex);
  return ReadJob(state_->tables, job, &Tables::LoadHistory);
}

absl::StatusOr<std::optional<AssignmentRecord>> MemoryStore::FindAssignment(const std::string& id) {
  MutexLock lock(&state_->mutex);
  return ReadAssignment(state_->tables, id);
}

absl::StatusOr<std::vector<EnergyTotal>> MemoryStore::EnergyTotals(const std::string& job) {
  MutexLock lock(&state_->mutex);
  return ReadJob(state_->tables, job, &Tables::LoadTotals);
}

absl::StatusOr<std::vector<EnergySum>> MemoryStore::EnergySums(const std::string& job,
                                                               EnergyAxis axis,
                                                               const EnergyFilter& filter) {
  MutexLock lock(&state_->mutex);
  return ReadSums(state_->tables, job, axis, filter);
}

absl::StatusOr<std::vector<BudgetEntry>> MemoryStore::LoadReservations(const std::string& job) {
  MutexLock lock(&state_->mutex);
  return ReadJob(state_->tables, job, &Tables::LoadReservations);
}

absl::Status MemoryStore::ForgetClient(const std::string& tenant, const std::string& population,
                                       const std::string& client) {
  MutexLock lock(&state_->mutex);
  return state_->tables.ForgetClient(tenant, population, client);
}

absl::Status MemoryStore::Prune(const RetentionDays& days, int64_t now_ms) {
  MutexLock lock(&state_->mutex);
  return fedwatt::Prune(days, now_ms, state_->tables);
}

}  // namespace fedwatt
