#include "client/app/virtual_clients.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/app/agent.h"
#include "client/app/condition_setup.h"
#include "client/app/exit_codes.h"
#include "client/app/session_setup.h"
#include "client/app/setup.h"
#include "client/app/virtual_trainers.h"
#include "client/sdk/session.h"
#include "common/base/boot_time.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/sequential_executor.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/thread_pool.h"

namespace fedwatt::client {
namespace {

constexpr int kSessionThreads = 2;
constexpr int64_t kTickMs = 200;
constexpr int64_t kSummaryMs = 10'000;
constexpr int64_t kStopLimitUs = 10'000'000;

// What all of them do, in numbers, and when that is enough. Thread-safe.
class Overview {
 public:
  Overview(ExitRule rule, ShutdownSignal* shutdown) : rule_(std::move(rule)), shutdown_(shutdown) {}

  void OnEvent(const std::string& client, const SessionEvent& event) {
    const bool wrong = event.kind == SessionEventKind::kProblem ||
                       event.kind == SessionEventKind::kFailed ||
                       event.kind == SessionEventKind::kDenied;
    Log(wrong ? LogLevel::kWarning : LogLevel::kDebug, SessionEventName(event.kind),
        {{"client", client}, {"what", event.ToString()}});
    MutexLock lock(&mutex_);
    rule_.OnEvent(event);
    if (event.kind == SessionEventKind::kAssigned) ++assigned_;
    if (event.kind == SessionEventKind::kReported) ++reported_;
    if (event.kind == SessionEventKind::kFailed) ++failed_;
    if (event.kind == SessionEventKind::kResolved) {
      ++(event.outcome == Outcome::kCommitted ? committed_ : dropped_);
    }
    if (rule_.Done()) shutdown_->Request();
  }

  void Tick(int64_t now_us) {
    MutexLock lock(&mutex_);
    if (rule_.Done()) shutdown_->Request();
    if (now_us < next_summary_us_) return;
    next_summary_us_ = now_us + kSummaryMs * 1000;
    if (said_ == assigned_ + reported_ + failed_ + committed_ + dropped_) return;
    Say();
  }

  void SayLast() {
    MutexLock lock(&mutex_);
    Say();
  }

  int exit_code() const {
    MutexLock lock(&mutex_);
    return rule_.exit_code();
  }

 private:
  void Say() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    said_ = assigned_ + reported_ + failed_ + committed_ + dropped_;
    LogInfo("so far", {{"assigned", absl::StrCat(assigned_)},
                       {"reported", absl::StrCat(reported_)},
                       {"committed", absl::StrCat(committed_)},
                       {"dropped", absl::StrCat(dropped_)},
                       {"failed", absl::StrCat(failed_)}});
  }

  mutable Mutex mutex_;
  ExitRule rule_ ABSL_GUARDED_BY(mutex_);
  ShutdownSignal* const shutdown_;
  uint64_t assigned_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t reported_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t committed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t said_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t next_summary_us_ ABSL_GUARDED_BY(mutex_) = 0;
};

class Reporter final : public SessionObserver {
 public:
  Reporter(std::string client, Overview* overview)
      : client_(std::move(client)), overview_(overview) {}
  void OnEvent(const SessionEvent& event) override { overview_->OnEvent(client_, event); }

 private:
  const std::string client_;
  Overview* const overview_;
};

// Destroyed in reverse order: the session first.
struct Device {
  Device(Executor* sessions, Executor* work) : strand(sessions), work_strand(work) {}

  std::unique_ptr<Reporter> reporter;
  SequentialExecutor strand;
  SequentialExecutor work_strand;
  std::unique_ptr<Trainer> trainer;
  FoundMeter meter;
  std::unique_ptr<DeviceConditions> conditions;
  std::unique_ptr<ClientTransport> transport;
  std::unique_ptr<Session> session;
};

// Everything, in the order in which it may be destroyed backwards.
struct Fleet {
  Fleet(ExitRule rule, ShutdownSignal* shutdown, int workers)
      : overview(std::move(rule), shutdown), work(workers) {}

  FileLock lock;
  Overview overview;
  std::unique_ptr<TrainerPool> trainers;
  // Before the trainers' processes end, for these end with the threads that started them.
  ThreadPool work;
  ThreadPool sessions{kSessionThreads};
  std::vector<std::unique_ptr<Device>> devices;
};

// Reading the host's sensors costs each of them a little every few seconds: only for rules.
bool HasRules(const ClientConfig& config) {
  return config.require_charging || config.min_charge_percent.has_value() ||
         config.max_temperature_c.has_value() || config.metered != "auto" ||
         !config.metered_file.empty() || config.require_idle;
}

absl::Status OpenDevice(const ClientConfig& config, const std::vector<PublicKey>& keys,
                        const Clock* clock, Fleet* fleet) {
  auto device = std::make_unique<Device>(&fleet->sessions, &fleet->work);
  FW_ASSIGN_OR_RETURN(const ClientIdentity identity, FindIdentity(config, *clock));
  device->reporter = std::make_unique<Reporter>(identity.subject, &fleet->overview);
  device->trainer = fleet->trainers->Share();
  if (config.meter == "simulated") {
    FW_ASSIGN_OR_RETURN(device->meter, FindMeter(config, clock, device->trainer.get()));
  }
  if (HasRules(config)) device->conditions = FindConditions(config, clock, device->trainer.get());
  FW_ASSIGN_OR_RETURN(device->transport, Connect(identity, config.server, clock, &fleet->sessions));
  SessionOptions options = MakeSessionOptions(config, identity);
  options.lock_state_dir = false;  // one lock on the folder of all of them
  options.trusted_keys = keys;
  std::vector<std::string> found;
  FW_ASSIGN_OR_RETURN(options.datasets, FindDatasets(config, &found));
  SessionDeps deps;
  deps.clock = clock;
  deps.executor = &device->strand;
  deps.work_executor = &device->work_strand;
  deps.transport = device->transport.get();
  deps.trainer = device->trainer.get();
  deps.meter = device->meter.meter.get();
  deps.conditions = device->conditions.get();
  deps.observer = device->reporter.get();
  deps.boot_time_us = BootTimeUs;
  deps.connect = FollowForwards(identity, clock, &fleet->sessions);
  FW_ASSIGN_OR_RETURN(device->session, Session::Open(std::move(options), std::move(deps)));
  fleet->devices.push_back(std::move(device));
  return absl::OkStatus();
}

// True once all have stopped; false if a trainer did not notice in time.
bool StopAll(const Fleet& fleet, const Clock& clock) {
  struct Stopped {
    Mutex mutex;
    CondVar changed;
    size_t left ABSL_GUARDED_BY(mutex) = 0;
  };
  const auto stopped = std::make_shared<Stopped>();
  {
    MutexLock lock(&stopped->mutex);
    stopped->left = fleet.devices.size();
  }
  for (const auto& device : fleet.devices) {
    device->session->Stop([stopped] {
      MutexLock lock(&stopped->mutex);
      --stopped->left;
      stopped->changed.NotifyAll();
    });
  }
  const int64_t until_us = clock.MonotonicUs() + kStopLimitUs;
  MutexLock lock(&stopped->mutex);
  while (stopped->left > 0) {
    const int64_t left_us = until_us - clock.MonotonicUs();
    if (left_us <= 0) return false;
    stopped->changed.WaitFor(&stopped->mutex, left_us);
  }
  return true;
}

void Tick(Fleet* fleet, const Clock* clock) {
  fleet->overview.Tick(clock->MonotonicUs());
  fleet->sessions.PostAfter(kTickMs, [fleet, clock] { Tick(fleet, clock); });
}

int Run(Fleet* fleet, const Clock& clock, ShutdownSignal* shutdown) {
  for (const auto& device : fleet->devices) device->session->Start();
  fleet->sessions.Post([fleet, clock = &clock] { Tick(fleet, clock); });
  shutdown->WaitForShutdown();
  const bool signalled = shutdown->signal_number() != 0;
  const int exit_code = signalled ? kOk : fleet->overview.exit_code();
  const bool stopped = StopAll(*fleet, clock);
  fleet->overview.SayLast();
  if (!stopped) {
    // The state folders are sound at every instant; waiting longer would only annoy.
    LogWarning("a trainer does not stop; leaving it to the kernel");
    std::_Exit(kOk);
  }
  fleet->work.Shutdown();
  for (const auto& device : fleet->devices) device->session.reset();
  for (const auto& device : fleet->devices) device->transport.reset();
  fleet->sessions.Shutdown();
  return exit_code;
}

}  // namespace

int RunVirtualClients(const ClientConfig& config, const Clock& clock, ShutdownSignal* shutdown) {
  const absl::StatusOr<std::vector<PublicKey>> keys = LoadTrustedKeys(config.trusted_keys);
  if (!keys.ok()) return Complain(keys.status(), "trusted key", kUnusable);
  const int workers = config.virtual_workers > 0
                          ? static_cast<int>(config.virtual_workers)
                          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  Fleet fleet(ExitRule(config.once, static_cast<int64_t>(config.exit_when_idle_s * 1000), &clock),
              shutdown, workers);
  absl::Status folder = EnsureDir(config.state_dir, 0700);
  if (!folder.ok()) return Complain(folder, "state folder", kError);
  absl::StatusOr<FileLock> lock = FileLock::Acquire(config.state_dir + "/lock");
  if (!lock.ok()) return Complain(lock.status(), "state folder", kLocked);
  fleet.lock = *std::move(lock);
  absl::StatusOr<std::unique_ptr<TrainerPool>> trainers =
      TrainerPool::Make(workers, [&] { return FindTrainer(config, &clock); });
  if (!trainers.ok()) return Complain(trainers.status(), "trainer", kUnusable);
  fleet.trainers = *std::move(trainers);
  for (uint32_t i = 0; i < config.virtual_clients && !shutdown->requested(); ++i) {
    const uint32_t number = config.virtual_first + i;
    const absl::Status opened = OpenDevice(ConfigOfVirtual(config, number), *keys, &clock, &fleet);
    if (opened.ok()) continue;
    return Complain(opened, absl::StrCat("virtual client ", number), SetupExitCode(opened));
  }
  LogInfo("started", {{"server", config.server},
                      {"clients", absl::StrCat(fleet.devices.size())},
                      {"trainers", absl::StrCat(workers)},
                      {"meter", config.meter == "simulated"
                                    ? "simulated"
                                    : "none: what this process uses is nobody's share"},
                      {"state", config.state_dir}});
  return Run(&fleet, clock, shutdown);
}

}  // namespace fedwatt::client
