#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "server/driver/coordinator.h"
#include "server/store/memory_store.h"
#include "simulation/mortal.h"
#include "tests/server/driver/fake_fleet.h"

// A data centre on a table: a coordinator with its disk, which survives it, and its devices.
namespace fedwatt::testing {

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
  // Above zero: what a coordinator draws from its start on, by a meter that it takes with it.
  double own_watts = 0;
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
  std::vector<std::unique_ptr<OwnEnergy>> own_energy_;  // of each coordinator; the last one lives
  std::unique_ptr<Coordinator> coordinator_;
  // A dead process' objects: closures in the executor still point at them.
  std::vector<std::unique_ptr<MortalExecutor>> dead_executors_;
  std::vector<std::unique_ptr<MortalStore>> dead_stores_;
};

}  // namespace fedwatt::testing
