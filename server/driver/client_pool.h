#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "common/base/sequential_executor.h"
#include "server/driver/matching.h"

// The clients that wait for work, and who works for whom.
//
// A job that wants clients opens a demand; each waiting client that fits is reserved to the first
// demand in order (higher priority, then fewest clients served lately, then id), so that two jobs
// never count the same client. The job claims whom its selector chose, and answers them once their
// assignments are durable. From the claim until Finish a client works for that job and is no one
// else's candidate; a check-in meanwhile is a client that lost its assignment: the job is asked to
// send it again.
namespace fedwatt {

// Who waits, by name; what a selector and an assignment need to know.
struct WaitingClient {
  std::string client;
  std::string device_class;
  uint32_t example_count_bucket = 0;
  DeviceTelemetry telemetry;
  uint32_t telemetry_level = 0;  // that its user consents to
  std::string region;            // its labels "region" and "power_domain"; empty: not told
  std::string power_domain;
};

struct ClientPoolOptions {
  int64_t retry_after_ms = 10'000;
  uint32_t max_waiting = 100'000;
  // Clients beyond this number, and beyond eight times what a round takes, are told to stay away
  // for longer; beyond twice of it they are not let in to wait.
  uint64_t crowd = 1024;
};

// Thread-safe. Callbacks run on the executor, never inside a call.
class ClientPool {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<CheckInResponse>)>;

  // One check-in. `finish` fills what every response carries (outcomes as of now, server time).
  struct Call {
    uint64_t id = 0;
    Offer offer;
    int64_t wait_ms = 0;
    std::function<void(CheckInResponse*)> finish;
    Done done;
  };

  // A job as far as matching goes: known from submission to end.
  struct Job {
    std::string id;
    uint32_t priority = 0;
    std::vector<Need> needs;  // training, evaluation
    uint32_t wanted = 0;      // clients of a round
    // Called when a client that works for the job checks in; answer with Deliver or Finish.
    std::function<void(const std::string& client)> resend;
  };

  struct Demand {
    std::string job;
    Need need;
    uint32_t wanted = 0;
    std::unordered_set<std::string> excluded;
    std::function<void()> changed;  // the number of candidates did
  };

  ClientPool(ClientPoolOptions options, const Clock* clock, Executor* executor);
  ~ClientPool();

  // ---- front: Announce, then Admit once the call's outcomes are looked up.
  void Announce(uint64_t call_id);
  void Admit(Call call);
  void Cancel(uint64_t call_id);  // the call's `done` gets CANCELLED; nothing once it was answered
  uint64_t waiting() const;
  uint64_t known() const;
  void Shutdown();  // UNAVAILABLE to all who wait and will come

  // ---- jobs
  void AddJob(Job job);
  void RemoveJob(const std::string& job);
  void OpenDemand(Demand demand);  // replaces the job's
  void CloseDemand(const std::string& job);
  uint32_t CandidateCount(const std::string& job) const;
  std::vector<WaitingClient> Candidates(const std::string& job) const;  // by name
  // Takes those that still wait; what each offers comes back, in the given order.
  std::vector<Offer> Claim(const std::string& job, const std::vector<std::string>& clients);
  // Undoes the claim of one: it waits as before, and its job was not served.
  void Unclaim(const std::string& job, const std::string& client);
  // After a restart: `client` works for `job` without having been claimed.
  void Restore(const std::string& job, const std::string& client);
  // Answers the client's call, if it waits for its assignment; `make` builds the assignment.
  void Deliver(const std::string& job, const std::string& client,
               const std::function<Assignment(const Offer&)>& make);
  // The client works for the job no longer; if it waits it is a candidate again.
  void Finish(const std::string& job, const std::string& client);

 private:
  struct Waiter {
    Call call;
    uint64_t timer = 0;
    std::string reserved;  // job; empty: no demand fits
  };
  struct OpenedDemand {
    Demand demand;
    uint32_t count = 0;
  };
  // What happens after the lock is released.
  struct Later {
    std::vector<std::function<void()>> calls;
    void Run();
  };

  static constexpr uint64_t kTurns = 8;

  using WaiterMap = std::map<std::string, Waiter>;  // by client

  void Timeout(uint64_t call_id);
  void Answer(Call call, absl::StatusOr<CheckInResponse> response);
  CheckInResponse Rejected(const Offer& offer, int64_t waited_ms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t EnoughFor(const Job& job) const { return std::max(options_.crowd, kTurns * job.wanted); }
  // How long a call may wait.
  int64_t WaitMs(const Call& call) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string WhyNoJob(const Offer& offer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Job* FittingJob(const Offer& offer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why `call` cannot wait; OK when it may, with an older call of the same client answered.
  absl::Status MakeWay(const Call& call, Later* later) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Call Take(WaiterMap::iterator it, Later* later) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::string> DemandsInOrder() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Reserve(Waiter* waiter, const std::vector<std::string>& order, Later* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReserveAll(Later* later) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountServed(const std::string& job, uint64_t clients) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ClientPoolOptions options_;
  const Clock* const clock_;
  Executor* const executor_;

  mutable Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  WaiterMap waiters_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, std::string> client_by_call_ ABSL_GUARDED_BY(mutex_);
  // Calls on their way to Admit; true: cancelled meanwhile.
  std::unordered_map<uint64_t, bool> announced_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::string> works_for_ ABSL_GUARDED_BY(mutex_);  // client -> job
  std::unordered_set<std::string> known_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, OpenedDemand> demands_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> served_ ABSL_GUARDED_BY(mutex_);
  uint64_t rejections_ ABSL_GUARDED_BY(mutex_) = 0;

  SequentialExecutor timers_;  // last: its destruction ends the timers
};

}  // namespace fedwatt
