#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "server/driver/coordinator.h"
#include "server/store/memory_store.h"
#include "tests/server/driver/fake_fleet.h"

// A data centre on a table: a coordinator with its disk, which survives it, and its devices.
namespace fedwatt::testing {

// Where a coordinator is killed.
struct Kill {
  int at_task = 0;       // before its n-th task; 0: not there
  int before_write = 0;  // its n-th batch never gets durable
  int after_write = 0;   // its n-th batch is durable, nobody hears of it
};

// The executor and the store as one coordinator sees them: after its death nothing happens any
// more.
class MortalExecutor final : public Executor {
 public:
  MortalExecutor(ManualExecutor* inner, Kill kill) : inner_(inner), kill_(kill) {}
  void Post(Task task) override { inner_->Post(Wrapped(std::move(task))); }
  uint64_t PostAfter(int64_t delay_ms, Task task) override {
    return inner_->PostAfter(delay_ms, Wrapped(std::move(task)));
  }
  bool Cancel(uint64_t timer_id) override { return inner_->Cancel(timer_id); }

  bool dead() const { return state_->dead; }
  void Die() { state_->dead = true; }
  int tasks() const { return state_->tasks; }
  bool in_task() const { return state_->in_task; }

 private:
  struct State {
    bool dead = false;
    bool in_task = false;
    int tasks = 0;
  };
  Task Wrapped(Task task);

  ManualExecutor* const inner_;
  const Kill kill_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

class MortalStore final : public Store {
 public:
  MortalStore(Store* disk, MortalExecutor* executor, Kill kill)
      : disk_(disk), executor_(executor), kill_(kill) {}

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
  absl::StatusOr<std::vector<EnergySum>> EnergySums(const std::string& job,
                                                    bool by_client) override {
    return disk_->EnergySums(job, by_client);
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
  Store* const disk_;
  MortalExecutor* const executor_;
  const Kill kill_;
  int writes_ = 0;
};

class TestWorld {
 public:
  // `store`: the disk's; a MemoryStore when null.
  explicit TestWorld(std::unique_ptr<Store> store = nullptr);
  ~TestWorld();

  absl::Status TryStart(Kill kill = {});
  void StartCoordinator(Kill kill = {});  // fails the test on an error
  void KillCoordinator();
  bool dead() const { return mortal_executor_ == nullptr || mortal_executor_->dead(); }

  FakeClient* AddClient(FakeClient::Options options);
  std::vector<FakeClient*> AddClients(int count);
  bool Logged(const std::string& text) const;

  // A bundle of one trainable tensor "w" of `parameters`: `value` times 1, 2, ... 7, 1, 2, ...
  Digest AddBundle(uint64_t parameters = 16, bool with_buffer = false, float value = 0);
  JobSpec Spec(uint32_t clients) const;
  JobView Submit(const JobSpec& spec);

  void RunFor(int64_t ms) { executor.AdvanceMs(ms); }
  // Until the job has ended or `limit_ms` passed; restarts a coordinator that was killed.
  JobView RunToEnd(const std::string& job, int64_t limit_ms = 3'600'000);

  const std::string& dir() const { return dir_; }
  Coordinator& coordinator() { return *coordinator_; }
  int tasks() const { return mortal_executor_->tasks(); }
  int writes() const { return mortal_store_->writes(); }

  FakeClock clock;
  ManualExecutor executor{&clock};
  std::unique_ptr<Store> disk;
  MemoryStore* memory = nullptr;  // disk, unless another was given
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<Spool> spool;
  std::unique_ptr<CarbonDesk> carbon = std::make_unique<CarbonDesk>(CarbonConfig{.region = "DE"});
  std::vector<std::unique_ptr<FakeClient>> clients;
  CoordinatorOptions options;
  uint64_t spool_memory_bytes = 1 << 20;  // what is in it dies with the coordinator
  Plugins plugins = Plugins::Builtin();
  int restarts = 0;
  std::vector<std::string> log;  // lines

 private:
  void OpenSpoolAgain();

  std::string dir_;
  std::unique_ptr<MortalExecutor> mortal_executor_;
  std::unique_ptr<MortalStore> mortal_store_;
  std::unique_ptr<Coordinator> coordinator_;
  // A dead process' objects: closures in the executor still point at them.
  std::vector<std::unique_ptr<MortalExecutor>> dead_executors_;
  std::vector<std::unique_ptr<MortalStore>> dead_stores_;
};

}  // namespace fedwatt::testing
