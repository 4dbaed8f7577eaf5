#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "server/driver/coordinator.h"
#include "server/store/memory_store.h"
#include "simulation/faults.h"
#include "simulation/mortal.h"

// The production coordinator in virtual time, with a disk that survives it: it dies where the plan
// of faults says so, and comes back.
namespace fedwatt {

// Hears of the coordinator's deaths: its connections are broken.
class CoordinatorPeer {
 public:
  virtual ~CoordinatorPeer() = default;
  virtual void OnCoordinatorDied() = 0;
};

struct CoordinatorHostOptions {
  std::string dir;  // of blobs and spool; created
  CoordinatorOptions coordinator;
  CarbonConfig carbon;
  std::vector<std::string> client_regions;  // that the carbon source has figures of
  std::string surplus_file;                 // empty: none
  uint64_t spool_memory_bytes = uint64_t{64} << 20;
  FaultPlan faults;
};

// One thread: the one that runs `executor`.
class CoordinatorHost {
 public:
  // `clock` and `executor` outlive it.
  static absl::StatusOr<std::unique_ptr<CoordinatorHost>> Create(CoordinatorHostOptions options,
                                                                 FakeClock* clock,
                                                                 ManualExecutor* executor);
  ~CoordinatorHost();

  // Null while it is down.
  Coordinator* coordinator() { return coordinator_.get(); }
  // Which of its lives this is, from 1; 0 before Start.
  uint64_t life() const { return life_; }

  absl::Status Start();

  // Told in the order in which they were added. The number is for RemovePeer.
  uint64_t AddPeer(CoordinatorPeer* peer) {
    peers_[++next_peer_] = peer;
    return next_peer_;
  }
  void RemovePeer(uint64_t number) { peers_.erase(number); }

  // Hears of all that becomes durable; set before Start.
  void OnDurable(std::function<void(const std::vector<StoreWrite>&)> witness) {
    witness_ = std::move(witness);
  }
  // `up`: it has come back; else it has died.
  void OnChange(std::function<void(bool up, int tasks)> hook) { on_change_ = std::move(hook); }
  // A coordinator that does not come back: why.
  const absl::Status& failure() const { return failure_; }

  Faults& faults() { return faults_; }
  MemoryStore& disk() { return *disk_; }
  BlobStore& blobs() { return *blobs_; }

 private:
  CoordinatorHost(CoordinatorHostOptions options, FakeClock* clock, ManualExecutor* executor);
  absl::Status OpenSpoolAgain();
  void Died();

  const CoordinatorHostOptions options_;
  FakeClock* const clock_;
  ManualExecutor* const executor_;
  Faults faults_;
  std::unique_ptr<MemoryStore> disk_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<CarbonDesk> carbon_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<MortalExecutor> mortal_executor_;
  std::unique_ptr<MortalStore> mortal_store_;
  std::unique_ptr<Coordinator> coordinator_;
  // A dead process' objects: closures in the executor still point at them.
  std::vector<std::unique_ptr<MortalExecutor>> dead_executors_;
  std::vector<std::unique_ptr<MortalStore>> dead_stores_;
  std::map<uint64_t, CoordinatorPeer*> peers_;
  uint64_t next_peer_ = 0;
  std::function<void(const std::vector<StoreWrite>&)> witness_;
  std::function<void(bool, int)> on_change_;
  absl::Status failure_;
  uint64_t life_ = 0;
};

}  // namespace fedwatt
