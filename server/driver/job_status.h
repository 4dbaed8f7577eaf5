#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "server/driver/coordinator.h"

// What may be known of a job from any thread: its record, a view of its progress, and who watches.
// The job's driver writes, everybody reads.
namespace fedwatt {

// Thread-safe. Owned by shared_ptr.
class JobStatus : public std::enable_shared_from_this<JobStatus> {
 public:
  struct Progress {
    uint64_t rounds_done = 0;
    ModelRef last;
    ModelRef best;
    std::optional<double> best_metric;
    RoundSummary current;
    std::vector<EnergyTotal> energy;
    uint64_t bytes_down = 0;
    uint64_t bytes_up = 0;
    BudgetView budget;
  };

  // `executor` carries the watchers' callbacks and must outlive them.
  JobStatus(JobRecord record, Store* store, Executor* executor);

  // ---- anyone
  const std::string& id() const { return id_; }
  JobRecord record() const;  // as last changed
  JobState state() const;
  JobView View(bool with_rounds) const;

  // Changes the record and writes it, both in the same order for concurrent callers. A `change`
  // that returns an error leaves all as it was. `done` runs once the new record is durable (only
  // then views show it) or could not be written; then the old one stands again.
  absl::Status Change(const std::function<absl::Status(JobRecord*)>& change,
                      absl::AnyInvocable<void(absl::Status)> done);

  using OnUpdate = std::function<void(const JobUpdate&, bool last)>;
  // The high part of a sequence counts rounds that ended, so that a watcher which comes back after
  // a restart gets each of them once.
  void Watch(uint64_t id, uint64_t after_sequence, OnUpdate on_update);
  bool Unwatch(uint64_t id);
  void DropWatchers();

  // ---- the driver
  void SetRounds(std::vector<RoundSummary> rounds);  // ended ones
  void Publish(Progress progress);
  void AddRound(RoundSummary summary);  // a round that ended, its evaluation included
  // An attempt that came to nothing: told to those who watch now, not kept.
  void TellAbandoned(const RoundSummary& summary);

 private:
  struct Watcher {
    OnUpdate on_update;
    uint64_t rounds_seen = 0;
    uint64_t sequence_seen = 0;
    std::deque<RoundSummary> abandoned;  // to be told; the oldest go first when there are many
    bool posted = false;   // a delivery is on its way, and will see every change until it ends
    bool delayed = false;  // one will be, a moment later
    bool fresh = true;     // owes the first snapshot
  };

  static constexpr int kRoundShift = 20;
  static constexpr size_t kMaxAbandonedToTell = 100;

  uint64_t Sequence(uint64_t rounds) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  JobView ViewLocked(bool with_rounds) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Snapshots may wait for the next; rounds and the job's end may not.
  void Changed(bool urgent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Written(const JobRecord& before, const JobRecord& after, uint64_t version, bool ok);
  void PostDelivery(uint64_t id, bool urgent, Watcher* watcher)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool EndDelay(uint64_t id);
  static void Deliver(const std::weak_ptr<JobStatus>& weak, uint64_t id);
  bool NextUpdate(uint64_t id, JobUpdate* update, bool* last, OnUpdate* on_update);

  const std::string id_;
  Store* const store_;
  Executor* const executor_;

  Mutex write_mutex_;  // held across Write; taken before mutex_
  mutable Mutex mutex_;
  JobRecord record_ ABSL_GUARDED_BY(mutex_);
  JobRecord durable_ ABSL_GUARDED_BY(mutex_);
  uint64_t record_version_ ABSL_GUARDED_BY(mutex_) = 0;
  Progress progress_ ABSL_GUARDED_BY(mutex_);
  std::vector<RoundSummary> rounds_ ABSL_GUARDED_BY(mutex_);
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;  // since the last round ended
  std::map<uint64_t, Watcher> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fedwatt
