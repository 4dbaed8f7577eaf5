#include "client/app/agent.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/app/condition_setup.h"
#include "client/app/event_log.h"
#include "client/app/exit_codes.h"
#include "client/app/session_setup.h"
#include "client/app/setup.h"
#include "common/base/boot_time.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/sequential_executor.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/thread_pool.h"

namespace fedwatt::client {
namespace {

constexpr int64_t kTickMs = 200;
// A training step may take this long to notice that it is to stop.
constexpr int64_t kStopLimitUs = 10'000'000;
constexpr int kPoolThreads = 2;

// The session's observer: a log line per event, and the end when the rule says so.
class Watcher final : public SessionObserver {
 public:
  Watcher(ExitRule rule, Executor* strand, ShutdownSignal* shutdown)
      : rule_(std::move(rule)), strand_(strand), shutdown_(shutdown) {}

  void OnEvent(const SessionEvent& event) override {
    LogSessionEvent(event);
    rule_.OnEvent(event);
    if (rule_.Done()) shutdown_->Request();
  }

  // On the strand, until it ends.
  void Tick() {
    if (rule_.Done()) shutdown_->Request();
    strand_->PostAfter(kTickMs, [this] { Tick(); });
  }

  int exit_code() const { return rule_.exit_code(); }

 private:
  ExitRule rule_;
  Executor* const strand_;
  ShutdownSignal* const shutdown_;
};

// Everything that a running agent has, in the order in which it may be destroyed backwards.
struct Parts {
  ThreadPool pool{kPoolThreads};
  std::unique_ptr<Watcher> watcher;
  SequentialExecutor strand{&pool};
  std::unique_ptr<Trainer> trainer;
  // One thread for the trainer's whole life: the kernel ends a worker with the thread that
  // started it.
  ThreadPool work{1};
  FoundMeter meter;
  std::unique_ptr<DeviceConditions> conditions;
  std::unique_ptr<ClientTransport> transport;  // its last callbacks still need the strand
  std::unique_ptr<Session> session;
};

SessionDeps MakeDeps(Parts* parts, const ClientIdentity& identity, const Clock* clock) {
  SessionDeps deps;
  deps.clock = clock;
  deps.executor = &parts->strand;
  deps.work_executor = &parts->work;
  deps.transport = parts->transport.get();
  deps.trainer = parts->trainer.get();
  deps.meter = parts->meter.meter.get();
  deps.conditions = parts->conditions.get();
  deps.observer = parts->watcher.get();
  deps.boot_time_us = BootTimeUs;
  deps.connect = FollowForwards(identity, clock, &parts->pool);
  return deps;
}

// False if the trainer did not notice in time.
bool StopSession(Session* session, const Clock& clock) {
  struct Stopped {
    Mutex mutex;
    CondVar changed;
    bool done ABSL_GUARDED_BY(mutex) = false;
  };
  const auto stopped = std::make_shared<Stopped>();
  session->Stop([stopped] {
    MutexLock lock(&stopped->mutex);
    stopped->done = true;
    stopped->changed.NotifyAll();
  });
  const int64_t until_us = clock.MonotonicUs() + kStopLimitUs;
  MutexLock lock(&stopped->mutex);
  while (!stopped->done) {
    const int64_t left_us = until_us - clock.MonotonicUs();
    if (left_us <= 0) return false;
    stopped->changed.WaitFor(&stopped->mutex, left_us);
  }
  return true;
}

int Run(Parts* parts, const Clock& clock, ShutdownSignal* shutdown) {
  parts->session->Start();
  parts->strand.Post([watcher = parts->watcher.get()] { watcher->Tick(); });
  shutdown->WaitForShutdown();
  if (shutdown->signal_number() != 0) {
    LogInfo("stopping", {{"signal", absl::StrCat(shutdown->signal_number())}});
  }
  if (!StopSession(parts->session.get(), clock)) {
    // The state folder is sound at every instant; waiting longer would only annoy.
    LogWarning("the trainer does not stop; leaving it to the kernel");
    std::_Exit(kOk);
  }
  parts->work.Shutdown();
  return shutdown->signal_number() != 0 ? kOk : parts->watcher->exit_code();
}

}  // namespace

ExitRule::ExitRule(uint64_t once, int64_t idle_ms, const Clock* clock)
    : once_(once), idle_ms_(idle_ms), clock_(clock), active_us_(clock->MonotonicUs()) {}

void ExitRule::OnEvent(const SessionEvent& event) {
  switch (event.kind) {
    case SessionEventKind::kAssigned:
    case SessionEventKind::kRecovered:
      active_.insert(event.assignment_id);
      worked_ = true;
      break;
    case SessionEventKind::kReported:
      active_.erase(event.assignment_id);
      break;
    case SessionEventKind::kProblem:
    case SessionEventKind::kConditions:
    case SessionEventKind::kStopped:
      return;
    case SessionEventKind::kResolved:
      active_.erase(event.assignment_id);
      ++resolved_;
      break;
    case SessionEventKind::kDenied:
      denied_ = true;
      unreachable_ = false;
      return;
    case SessionEventKind::kWaiting:
      denied_ = false;
      unreachable_ = !event.status.ok();
      return;
    default:
      break;
  }
  active_us_ = clock_->MonotonicUs();
  denied_ = unreachable_ = false;
}

bool ExitRule::Done() const {
  if (once_ > 0 && resolved_ >= once_) return true;
  if (idle_ms_ == 0 || !active_.empty()) return false;
  return clock_->MonotonicUs() - active_us_ >= idle_ms_ * 1000;
}

int ExitRule::exit_code() const {
  if (denied_) return kRefused;
  return unreachable_ && !worked_ ? kUnreachable : kOk;
}

int RunAgent(const ClientConfig& config, const Clock& clock, ShutdownSignal* shutdown) {
  const absl::StatusOr<ClientIdentity> identity = FindIdentity(config, clock);
  if (!identity.ok()) {
    return Complain(identity.status(), "certificate", SetupExitCode(identity.status()));
  }
  SessionOptions options = MakeSessionOptions(config, *identity);
  absl::StatusOr<std::vector<PublicKey>> keys = LoadTrustedKeys(config.trusted_keys);
  if (!keys.ok()) return Complain(keys.status(), "trusted key", kUnusable);
  options.trusted_keys = *std::move(keys);
  std::vector<std::string> found;
  absl::StatusOr<std::vector<OfferedDataset>> datasets = FindDatasets(config, &found);
  if (!datasets.ok()) return Complain(datasets.status(), "dataset", kUnusable);
  options.datasets = *std::move(datasets);

  Parts parts;
  absl::StatusOr<std::unique_ptr<Trainer>> trainer = FindTrainer(config, &clock);
  if (!trainer.ok()) return Complain(trainer.status(), "trainer", kUnusable);
  parts.trainer = *std::move(trainer);
  absl::StatusOr<FoundMeter> meter = FindMeter(config, &clock, parts.trainer.get());
  if (!meter.ok()) return Complain(meter.status(), "meter", kUnusable);
  parts.meter = *std::move(meter);
  parts.conditions = FindConditions(config, &clock, parts.trainer.get());
  absl::StatusOr<std::unique_ptr<ClientTransport>> transport =
      Connect(*identity, config.server, &clock, &parts.pool);
  if (!transport.ok()) return Complain(transport.status(), "server", kUsage);
  parts.transport = *std::move(transport);
  parts.watcher = std::make_unique<Watcher>(
      ExitRule(config.once, static_cast<int64_t>(config.exit_when_idle_s * 1000), &clock),
      &parts.strand, shutdown);
  absl::StatusOr<std::unique_ptr<Session>> session =
      Session::Open(std::move(options), MakeDeps(&parts, *identity, &clock));
  if (!session.ok()) {
    const bool locked = absl::IsFailedPrecondition(session.status());
    return Complain(session.status(), "state folder", locked ? kLocked : kError);
  }
  parts.session = *std::move(session);
  LogInfo("started", {{"server", config.server},
                      {"identity", identity->found},
                      {"trainer", parts.trainer->name()},
                      {"meter", parts.meter.found},
                      {"state", config.state_dir}});
  for (const std::string& dataset : found) LogInfo("dataset", {{"found", dataset}});
  return Run(&parts, clock, shutdown);
}

int RunCheck(const ClientConfig& config, const Clock& clock) {
  int exit_code = kOk;
  const auto say = [&exit_code](const char* part, const absl::Status& status,
                                const std::string& found, int failure) {
    std::printf("%-4s  %-11s  %s\n", status.ok() ? "ok" : "BAD", part,
                status.ok() ? found.c_str() : std::string(status.message()).c_str());
    if (!status.ok() && exit_code == kOk) exit_code = failure;
  };
  const auto identity = FindIdentity(config, clock);
  say("identity", identity.status(), identity.ok() ? identity->found : "",
      SetupExitCode(identity.status()));
  const auto keys = LoadTrustedKeys(config.trusted_keys);
  std::string key_ids;
  if (keys.ok()) {
    for (const PublicKey& key : *keys) absl::StrAppend(&key_ids, key.KeyId(), " ");
  }
  say("trusted key", keys.status(), key_ids, kUnusable);
  std::vector<std::string> found;
  const auto datasets = FindDatasets(config, &found);
  for (const std::string& dataset : found) say("dataset", absl::OkStatus(), dataset, kUnusable);
  if (!datasets.ok()) say("dataset", datasets.status(), "", kUnusable);
  auto trainer = FindTrainer(config, &clock);
  say("trainer", trainer.status(), trainer.ok() ? (*trainer)->name() : "", kUnusable);
  if (trainer.ok()) {
    const auto meter = FindMeter(config, &clock, trainer->get());
    say("meter", meter.status(), meter.ok() ? meter->found : "", kUnusable);
    const auto conditions = FindConditions(config, &clock, trainer->get());
    say("conditions", absl::OkStatus(), DescribeConditions(config, conditions->Read()), kUnusable);
  }
  return exit_code;
}

}  // namespace fedwatt::client
