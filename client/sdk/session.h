#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/assignment_check.h"
#include "client/sdk/backoff.h"
#include "client/sdk/condition_rules.h"
#include "client/sdk/device_conditions.h"
#include "client/sdk/trainer.h"
#include "client/sdk/transport.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/crypto/ed25519.h"
#include "common/energy/energy_meter.h"
#include "common/model/fleet.h"

// A client's life with its coordinator, as a state machine driven by an executor that the host
// gives: check in, fetch, verify, train, encode, report, learn the outcome, check in again.
//
//   FW_ASSIGN_OR_RETURN(auto session, Session::Open(options, deps));
//   session->Start();
//   ...
//   session->Stop([] { /* now it may be destroyed */ });
//
// What survives what. Every step is in the state folder before the next one starts
// (assignment_store.h), so after kill -9 a session opened on the same folder goes on: downloads
// from the byte they had reached, trained work without training again, a kept update with the same
// bytes. Work that was not finished is first asked about (a check-in that does not wait); if the
// coordinator is away, it goes on regardless. An update is kept until its outcome is known, and
// sent again without training when the coordinator lost it (Outcome::kWanted).
//
// Training that was interrupted, by a kill or by Stop, goes on from its newest checkpoint
// (trainers/local_work/checkpoint.h) as long as its deadline allows, to the same bits; joules and
// seconds up to the checkpoint are in its report, those after it are lost with the steps.
//
// What runs. Only bundles that one of `trusted_keys` signed. Unsigned, altered or strange ones,
// plans that are invalid or too new, and results that are not finite or beyond the job's bound are
// reported as FAILED with the reason. Work whose deadline passed is reported as CANCELLED.
//
// What kills. That a training begins is durable before it does. A plan during which the process
// died twice, without a training of it that ended in between, is reported as FAILED from then on
// and not tried again (plan_quarantine.h). A checkpoint in between changes nothing about that: the
// attempt still ended in a death.
//
// Time. Deadlines go by the time since the machine's boot, suspended time included, also between
// processes (boot_log.h); back-off and other waits by the monotonic clock. Setting the wall clock
// changes none of them. After a reboot only the wall clock knows how old an assignment is; what it
// gets wrong the coordinator, which is asked first, puts right. What became due while nobody ran
// the executor happens once.
//
// Patience. A coordinator that is away is tried for ever, with jittered exponential back-off;
// waits that it asks for are kept (and spread by up to a tenth). Refused credentials are tried
// every `denied_backoff_ms`. Other errors of one assignment are tried five times, then the
// assignment is given up: reported as FAILED before the update exists, dropped after.
//
// Energy. One sample per phase and kind of source; windows lie around transfers, training and
// encoding, not around waiting. A report cannot hold the cost of its own sending: it has the
// measured cost of earlier, cut-off sendings of the same assignment, and an estimate for the bytes
// still to go (UploadEnergyEstimate). `metrics.bytes_up` counts both likewise.
//
// Models. Check-ins say which models the cache holds. The coordinator can then give a smaller way
// to an assignment's model (assignment.model_steps). Whatever is wrong with that way, here or
// there, is said by a kProblem, and the model is downloaded as it is.
//
// Costs. What transfers, encoding and training took is told to the coordinator at check-in, as far
// as it was measured or stated (cost_log.h).
//
// Conditions (condition_rules.h). While the device does not meet its owner's rules there are no
// check-ins; they are asked for again after `condition_check_ms`, then less and less often. They
// are looked at while there is a check-in, a transfer or a training, too: work that may not go on
// is stopped within the trainer's next step and reported as CANCELLED with the energy spent, unless
// it is training with a checkpoint and `pause_limit_ms` lets it wait for better conditions. An
// update that is trained is encoded and sent all the same, unless the network is metered: then it
// is kept until it is not, or its deadline passes. Reports without an update always go out.
//
// What leaves the device. The figures behind these decisions stay on it; a report names the rule
// alone. Check-ins carry buckets (common/model/telemetry.h), reports totals of the round, both from
// telemetry_level 1 on. At 0 a report still has what the work is: update, weight, counts, results
// of an evaluation.
//
// weight_multiplier is the coordinator's to apply; the weight reported is the plan's (examples, or
// 1 when uniform), at most assignment.max_weight.
namespace fedwatt {

enum class SessionEventKind {
  kRecovered,    // an assignment of an earlier run was found; text: its stage
  kProblem,      // something on this device was damaged or cannot be written; text says what
  kWaiting,      // nothing to do for delay_ms; text: why
  kDenied,       // credentials or protocol refused; text: what to do; delay_ms until the next try
  kAssigned,     // text: kind, round, trainer
  kDownloading,  // bytes of `total_bytes` are there already; text: what
  kAssembled,    // the model was put together from bytes of total_bytes; text: from what
  kTraining,     // verified; the trainer starts
  kTrained,      // report: metrics, weight, energy so far; text: if it went on
  kEncoded,      // bytes of the update
  kFailed,       // text: why; will be reported
  kUploading,    // from `bytes` of `total_bytes`
  kReported,     // acknowledged; report as it was sent
  kResolved,     // outcome; nothing of the assignment is left here
  kForwarded,    // text: address
  kConditions,   // the device's conditions changed; text: what is not met, or that they are
  kStopped,
};
const char* SessionEventName(SessionEventKind kind);

// Pointers are valid during the call.
struct SessionEvent {
  SessionEventKind kind = SessionEventKind::kProblem;
  std::string assignment_id;
  std::string text;
  int64_t delay_ms = 0;
  uint64_t bytes = 0;
  uint64_t total_bytes = 0;
  Outcome outcome = Outcome::kPending;
  absl::Status status;  // of what made it wait, where that was an error
  const Assignment* assignment = nullptr;
  const Report* report = nullptr;

  // One line, without delays and energies: "trained job/r1/a1/0 ...".
  std::string ToString() const;
};

// Called on the session's executor.
class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  virtual void OnEvent(const SessionEvent& event) = 0;
  // The newest progress of the training under way; older ones and the last step may be skipped.
  virtual void OnProgress(const std::string& /*assignment_id*/, const TrainProgress& /*progress*/) {
  }
};

struct SessionOptions {
  std::string state_dir;                           // created; locked against a second session
  std::string cache_dir;                           // models and bundles; empty: state_dir/cache
  uint64_t cache_limit_bytes = uint64_t{2} << 30;  // least recently used go first
  bool sync = true;            // survive a loss of power (fsync), not only the end of the process
  bool lock_state_dir = true;  // false where one process owns all folders
  uint32_t max_held = 16;  // assignments; beyond it the oldest reported one is forgotten (2 to 64)

  std::string client_id;  // key of this client's randomness
  std::string app_version;
  std::string tenant = "default";
  std::string population = "default";
  Role role = Role::kClient;
  std::string device_class;
  uint64_t memory_bytes = 0;
  std::map<std::string, std::string> labels;
  std::vector<std::string> codecs;  // empty: all that are built in
  std::vector<OfferedDataset> datasets;
  uint32_t telemetry_level = 1;  // the user's consent
  ConditionRules rules;          // when this device works
  int64_t condition_check_ms = 5000;
  // Between assignments: residuals of error feedback. A client that does not is refused work with
  // codecs that need them.
  bool keeps_state = true;
  // What is known of this device's link and is not to be measured (cost_log.h).
  CostEstimate stated_costs;
  std::vector<PublicKey> trusted_keys;

  // How often training keeps how far it has come, so that a restart goes on there; 0: never.
  int64_t checkpoint_every_ms = 0;
  // Training that the device's conditions stop is kept for so long, if it has a checkpoint, and
  // goes on when they are met again; 0: it is given up at once, which the round learns at once,
  // too.
  int64_t pause_limit_ms = 0;
  // One line that is another one after each boot of the machine (boot_log.h). A plan during which
  // the machine went down is less suspicious than one that its process died of
  // (plan_quarantine.h). Unreadable: nothing is known.
  std::string boot_id_file = "/proc/sys/kernel/random/boot_id";

  int64_t long_poll_ms = 20'000;  // shorter than NAT time-outs
  BackoffOptions backoff;
  int64_t denied_backoff_ms = 300'000;
  int64_t sleep_after_ms = 30'000;  // waits longer than this close the connection
};

// All outlive the session and the transport's last callback.
struct SessionDeps {
  const Clock* clock = nullptr;
  Executor* executor = nullptr;  // sequential: tasks one at a time, in order
  Executor* work_executor =
      nullptr;  // for what blocks: hashing, training, encoding; one task at a time
  ClientTransport* transport = nullptr;
  Trainer* trainer = nullptr;
  EnergyMeter* meter = nullptr;         // may be null: energy is then reported as unavailable
  SessionObserver* observer = nullptr;  // may be null
  // Follows a forward to another coordinator; without it a forward is only reported and waited out.
  std::function<std::shared_ptr<ClientTransport>(const std::string& address)> connect;
  DeviceConditions* conditions = nullptr;  // may be null: nothing is known of the device
  // BootTimeUs of common/base/boot_time.h; null: the clock's monotonic side, which may stand still
  // while the device sleeps.
  std::function<int64_t()> boot_time_us;
};

class SessionCore;

// Methods may be called from any thread; what they start happens on deps.executor.
class Session {
 public:
  // Takes the lock (FAILED_PRECONDITION names the process that has it) and reads the state folder.
  // Damaged journals are removed and reported by an event once started.
  static absl::StatusOr<std::unique_ptr<Session>> Open(SessionOptions options, SessionDeps deps);

  // Like kill -9 to the state: nothing is written, callbacks that are under way are dropped.
  // Call it on the executor or when that no longer runs. A trainer that is running is told to stop.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Start();

  // Cancels training (within one step) and transfers, keeps all state. `done` runs on the executor
  // when nothing of this session runs any more.
  void Stop(absl::AnyInvocable<void()> done);

  // The device needs its resources back: the assignment that is being fetched or trained is given
  // up and reported as CANCELLED with `reason`. Nothing happens if there is none.
  void CancelWork(const std::string& reason);

 private:
  explicit Session(std::shared_ptr<SessionCore> core);

  const std::shared_ptr<SessionCore> core_;
  Executor* const executor_;
};

}  // namespace fedwatt
