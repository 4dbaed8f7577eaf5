#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/executor.h"
#include "common/base/manual_executor.h"
#include "server/store/store.h"

// The executor and the disk as one coordinator sees them, who can be killed at any of its steps:
// after its death nothing that it began goes on, and nobody hears of it. The disk outlives it.
namespace fedwatt {

// Where a coordinator is killed; 0: not there.
struct Kill {
  int at_task = 0;       // before its n-th task
  int before_write = 0;  // its n-th batch never gets durable
  int after_write = 0;   // its n-th batch is durable, nobody hears of it
};

// One thread.
class MortalExecutor final : public Executor {
 public:
  MortalExecutor(ManualExecutor* inner, Kill kill) : inner_(inner), kill_(kill) {}
  void Post(Task task) override { inner_->Post(Wrapped(std::move(task))); }
  uint64_t PostAfter(int64_t delay_ms, Task task) override {
    return inner_->PostAfter(delay_ms, Wrapped(std::move(task)));
  }
  bool Cancel(uint64_t timer_id) override { return inner_->Cancel(timer_id); }

  bool dead() const { return state_->dead; }
  void Die();
  // Runs after the step that killed it, as a task of its own.
  void OnDeath(std::function<void()> hook) { state_->on_death = std::move(hook); }
  int tasks() const { return state_->tasks; }
  bool in_task() const { return state_->in_task; }

 private:
  struct State {
    bool dead = false;
    bool in_task = false;
    int tasks = 0;
    std::function<void()> on_death;
  };
  static void Die(State* state, ManualExecutor* inner);
  Task Wrapped(Task task);

  ManualExecutor* const inner_;
  const Kill kill_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Batches become durable `sync_delay_ms` after they were written, in order; those that wait when
// the coordinator dies are lost, as by a power cut. `disk` must be durable when its Write returns
// (MemoryStore without an executor, SqliteStore).
class MortalStore final : public Store {
 public:
  MortalStore(Store* disk, MortalExecutor* executor, Kill kill, int64_t sync_delay_ms = 0)
      : disk_(disk), executor_(executor), kill_(kill), sync_delay_ms_(sync_delay_ms) {}

  // Hears of every batch that became durable.
  void OnDurable(std::function<void(const std::vector<StoreWrite>&)> witness) {
    witness_ = std::move(witness);
  }

  void Write(std::vector<StoreWrite> batch, absl::AnyInvocable<void(absl::Status)> done) override;
  absl::StatusOr<std::vector<JobRecord>> LoadJobs() override { return disk_->LoadJobs(); }
  absl::StatusOr<std::vector<LogRecord>> LoadLog(const std::string& job) override {
    return disk_->LoadLog(job);
  }
  absl::StatusOr<std::optional<RoundCommitted>> LastCommit(const std::string& job) override {
    return disk_->LastCommit(job);
  }
  absl::StatusOr<std::vector<ModelRef>> LoadModels(const std::string& job) override {
    return disk_->LoadModels(job);
  }
  absl::StatusOr<std::vector<RoundSummary>> LoadRounds(const std::string& job) override {
    return disk_->LoadRounds(job);
  }
  absl::StatusOr<std::vector<ClientHistory>> LoadHistory(const std::string& job) override {
    return disk_->LoadHistory(job);
  }
  absl::StatusOr<std::optional<AssignmentRecord>> FindAssignment(const std::string& id) override {
    return disk_->FindAssignment(id);
  }
  absl::StatusOr<std::vector<EnergyTotal>> EnergyTotals(const std::string& job) override {
    return disk_->EnergyTotals(job);
  }
  absl::StatusOr<std::vector<EnergySum>> EnergySums(const std::string& job, EnergyAxis axis,
                                                    const EnergyFilter& filter) override {
    return disk_->EnergySums(job, axis, filter);
  }
  absl::StatusOr<std::vector<BudgetEntry>> LoadReservations(const std::string& job) override {
    return disk_->LoadReservations(job);
  }
  absl::Status ForgetClient(const std::string& tenant, const std::string& population,
                            const std::string& client) override {
    return disk_->ForgetClient(tenant, population, client);
  }
  int writes() const { return writes_; }

 private:
  void Sync(int number, std::vector<StoreWrite> batch, bool waits,
            absl::AnyInvocable<void(absl::Status)> done);

  Store* const disk_;
  MortalExecutor* const executor_;
  const Kill kill_;
  const int64_t sync_delay_ms_;
  std::function<void(const std::vector<StoreWrite>&)> witness_;
  int writes_ = 0;
};

}  // namespace fedwatt
