#include "client/sdk/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/sdk/session_core.h"
#include "client/sdk/state_format.h"
#include "client/sdk/version.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/codec/codec.h"
#include "common/transport/retry_after.h"

namespace fedwatt {
namespace {

// A check-in that came back faster than this without news was not held open.
constexpr int64_t kHeldOpenUs = 1'000'000;
constexpr int64_t kIdleMs = 1000;
constexpr int kMaxForwards = 3;
constexpr int64_t kMsPerDay = 24 * 3600 * 1000;
constexpr size_t kMaxCounterBytes = 32;

// A number greater than every earlier one of this folder, also if the clock went back.
absl::StatusOr<uint64_t> NextSessionNumber(const std::string& state_dir, const Clock& clock,
                                           const AssignmentStore& store) {
  const std::string path = absl::StrCat(state_dir, "/session");
  uint64_t last = 0;
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxCounterBytes);
  if (text.ok() && !absl::SimpleAtoi(*text, &last)) last = 0;
  const uint64_t next = std::max(last + 1, static_cast<uint64_t>(clock.NowMs()));
  FW_RETURN_IF_ERROR(store.WritePath(path, absl::StrCat(next)));
  return next;
}

absl::Status CheckOptions(const SessionOptions& options, const SessionDeps& deps) {
  if (deps.clock == nullptr || deps.executor == nullptr || deps.work_executor == nullptr ||
      deps.transport == nullptr || deps.trainer == nullptr) {
    return absl::InvalidArgumentError(
        "a session needs a clock, two executors, a transport and a trainer");
  }
  if (options.state_dir.empty()) {
    return absl::InvalidArgumentError("a session needs a folder for its state (state_dir)");
  }
  if (options.condition_check_ms < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("condition_check_ms = ", options.condition_check_ms, ": must be 1 or more"));
  }
  if (options.max_held < 2 || options.max_held > bounds::kMaxOffers) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_held = ", options.max_held, ": must be 2 to ", bounds::kMaxOffers));
  }
  if (options.datasets.size() > bounds::kMaxOffers) {
    return absl::InvalidArgumentError(absl::StrCat("a client offers at most ", bounds::kMaxOffers,
                                                   " datasets, not ", options.datasets.size()));
  }
  return absl::OkStatus();
}

std::string DeniedText(const absl::Status& status) {
  return absl::StrCat("the coordinator refuses this client: ", StatusText(status),
                      "; check the certificate, its identity and role, and that the coordinator "
                      "knows it and has not revoked it");
}

}  // namespace

bool IsDenied(const absl::Status& status) {
  return absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status);
}

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

absl::StatusOr<std::unique_ptr<Session>> Session::Open(SessionOptions options, SessionDeps deps) {
  FW_RETURN_IF_ERROR(CheckOptions(options, deps));
  FW_RETURN_IF_ERROR(EnsureDir(options.state_dir, 0700));
  FileLock lock;
  if (options.lock_state_dir) {
    FW_ASSIGN_OR_RETURN(lock, FileLock::Acquire(absl::StrCat(options.state_dir, "/lock")));
  }
  if (options.codecs.empty()) {
    for (const CodecEntry& entry : BuiltinCodecs()) options.codecs.push_back(entry.name);
  }
  const bool shared_cache = !options.cache_dir.empty();
  if (!shared_cache) options.cache_dir = absl::StrCat(options.state_dir, "/cache");
  AssignmentStore store(absl::StrCat(options.state_dir, "/assignments"), options.sync);
  FW_RETURN_IF_ERROR(CheckStateFormat(options.state_dir, store));
  FW_RETURN_IF_ERROR(store.Create());
  FW_ASSIGN_OR_RETURN(BlobCache cache,
                      BlobCache::Open(options.cache_dir, absl::StrCat(options.state_dir, "/part"),
                                      shared_cache, options.cache_limit_bytes, deps.clock));
  FW_ASSIGN_OR_RETURN(const uint64_t number,
                      NextSessionNumber(options.state_dir, *deps.clock, store));
  auto core = std::make_shared<SessionCore>(std::move(options), std::move(deps), std::move(lock),
                                            std::move(store), std::move(cache), number);
  FW_RETURN_IF_ERROR(core->Load());
  return std::unique_ptr<Session>(new Session(std::move(core)));
}

Session::Session(std::shared_ptr<SessionCore> core)
    : core_(std::move(core)), executor_(core_->executor()) {}

Session::~Session() { core_->Abandon(); }

void Session::Start() {
  executor_->Post([weak = std::weak_ptr<SessionCore>(core_)] {
    if (const std::shared_ptr<SessionCore> core = weak.lock()) core->Start();
  });
}

void Session::Stop(absl::AnyInvocable<void()> done) {
  executor_->Post([weak = std::weak_ptr<SessionCore>(core_), done = std::move(done)]() mutable {
    if (const std::shared_ptr<SessionCore> core = weak.lock()) core->Stop(std::move(done));
  });
}

void Session::CancelWork(const std::string& reason) {
  executor_->Post([weak = std::weak_ptr<SessionCore>(core_), reason] {
    if (const std::shared_ptr<SessionCore> core = weak.lock()) core->CancelWork(reason);
  });
}

SessionCore::SessionCore(SessionOptions options, SessionDeps deps, FileLock lock,
                         AssignmentStore store, BlobCache cache, uint64_t session_number)
    : options_(std::move(options)),
      deps_(std::move(deps)),
      lock_(std::move(lock)),
      store_(std::move(store)),
      cache_(std::move(cache)),
      session_number_(session_number),
      backoff_(options_.backoff, RngKey{.job = "",
                                        .round = 0,
                                        .client = options_.client_id,
                                        .purpose = "retry-jitter",
                                        .seed = session_number}),
      meter_(deps_.meter, deps_.clock),
      costs_(CostLog::Load(absl::StrCat(options_.state_dir, "/costs"))),
      models_(HeldModels::Load(absl::StrCat(options_.state_dir, "/models"))),
      quarantine_(
          PlanQuarantine::Load(absl::StrCat(options_.state_dir, "/deaths"), deps_.clock->NowMs())),
      boots_(BootLog::Load(
          absl::StrCat(options_.state_dir, "/boot"), options_.boot_id_file,
          deps_.boot_time_us ? deps_.boot_time_us
                             : [clock = deps_.clock] { return clock->MonotonicUs(); },
          deps_.clock->NowMs())) {}

absl::Status SessionCore::Load() {
  FW_ASSIGN_OR_RETURN(std::vector<KeptAssignment> records, store_.LoadAll(&problems_));
  for (KeptAssignment& record : records) {
    const std::string id = record.assignment.id;
    held_[id].record = std::move(record);
  }
  CountDeaths();
  consult_ = NextUnfinished() != nullptr;
  return absl::OkStatus();
}

std::string SessionCore::PlanKeyOf(const Assignment& assignment) const {
  return PlanQuarantine::KeyOf(assignment, {.trainer = deps_.trainer->name(),
                                            .sdk_version = kSdkVersion,
                                            .app_version = options_.app_version});
}

void SessionCore::CountDeaths() {
  for (auto& [id, held] : held_) {
    if (!std::exchange(held.record.training, false)) continue;
    const std::string key = PlanKeyOf(held.record.assignment);
    const PlanQuarantine::Count count =
        quarantine_.AddDeath(key, boots_.rebooted(), deps_.clock->NowMs());
    problems_.push_back(absl::StrCat(
        boots_.rebooted() ? "the machine went down" : "this process died", " while it worked on ",
        id, ": its plan has ", count.ToString(), "; with ", PlanQuarantine::kMaxDeaths,
        " deaths, of which a reboot is half a one, it is not tried again"));
    // The count first: a plan that kills at once must not be forgotten for want of disk space.
    absl::Status written = store_.WritePath(quarantine_.path(), quarantine_.Content());
    if (written.ok()) written = store_.PutProgress(held.record);
    if (!written.ok()) {
      problems_.push_back(absl::StrCat("cannot write that down: ", StatusText(written)));
    }
  }
  const absl::Status noted = boots_.Save();
  if (!noted.ok()) {
    problems_.push_back(absl::StrCat("cannot note the machine's boot: ", StatusText(noted)));
  }
}

absl::Status SessionCore::CheckQuarantine(const Assignment& assignment) const {
  const PlanQuarantine::Count count = quarantine_.Deaths(PlanKeyOf(assignment));
  if (!count.enough()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "quarantined: this device counts ", count.ToString(),
      " while it worked on this plan; it is not tried again before ",
      PlanQuarantine::kForgetMs / kMsPerDay, " days have passed or the app is updated"));
}

void SessionCore::Start() {
  if (stopping_) return;
  for (const std::string& problem : problems_) EmitProblem(problem);
  problems_.clear();
  for (const auto& [id, held] : held_) {
    EmitFor(SessionEventKind::kRecovered, held, WorkStageName(held.record.stage));
  }
  Next();
}

SessionCore::Held* SessionCore::NextUnfinished() {
  Held* best = nullptr;
  for (auto& [id, held] : held_) {
    if (held.record.stage == WorkStage::kReported) continue;
    // What is nearest to being useful first, then what came first.
    if (best == nullptr || held.record.stage > best->record.stage ||
        (held.record.stage == best->record.stage &&
         held.record.received_ms < best->record.received_ms)) {
      best = &held;
    }
  }
  return best;
}

SessionCore::Held* SessionCore::Active() {
  const auto found = held_.find(active_);
  return found == held_.end() ? nullptr : &found->second;
}

void SessionCore::Next() {
  if (stopping_) return FinishStop();
  Held* const held = NextUnfinished();
  if (held == nullptr) {
    cancel_reason_.clear();
    return MayBegin() ? CheckIn(options_.long_poll_ms) : WaitForConditions();
  }
  if (HeldBack(held)) return;
  if (consult_) return CheckIn(0);
  Proceed(held);
}

void SessionCore::Proceed(Held* held) {
  active_ = held->record.assignment.id;
  StartWatch();
  const WorkStage stage = held->record.stage;
  if (stage == WorkStage::kReady) return Send(held);
  if (stage == WorkStage::kTrained) return Fetch(held);
  if (!cancel_reason_.empty()) {
    return FailAndGoOn(held, ReportStatus::kCancelled, std::exchange(cancel_reason_, ""));
  }
  if (TimeLeftMs(held->record.assignment, ElapsedMs(*held)) <= 0) {
    return FailAndGoOn(held, ReportStatus::kCancelled, kTooLate);
  }
  // Here and not on receipt: a restart may come with another configuration.
  const absl::Status fits =
      CheckAssignment(held->record.assignment, {.sdk_version = kSdkVersion,
                                                .role = options_.role,
                                                .trainer = deps_.trainer->name(),
                                                .datasets = &options_.datasets});
  if (!fits.ok()) return FailAndGoOn(held, ReportStatus::kFailed, StatusText(fits));
  const absl::Status quarantine = CheckQuarantine(held->record.assignment);
  if (!quarantine.ok()) return FailAndGoOn(held, ReportStatus::kFailed, StatusText(quarantine));
  const absl::Status codec = CheckCodec(held->record.assignment);
  if (!codec.ok()) return FailAndGoOn(held, ReportStatus::kFailed, StatusText(codec));
  Fetch(held);
}

int64_t SessionCore::ElapsedMs(const Held& held) const {
  return std::max<int64_t>(0, boots_.NowMs() - held.record.received_ms);
}

CheckInRequest SessionCore::MakeCheckIn(int64_t max_wait_ms) const {
  CheckInRequest request;
  request.sdk_version = kSdkVersion;
  request.app_version = options_.app_version;
  request.tenant = options_.tenant;
  request.population = options_.population;
  request.capabilities.trainers = {deps_.trainer->name()};
  request.capabilities.artifact_formats = deps_.trainer->artifact_formats();
  request.capabilities.codecs = options_.codecs;
  request.capabilities.memory_bytes = options_.memory_bytes;
  request.capabilities.labels = options_.labels;
  request.capabilities.keeps_state = options_.keeps_state;
  request.capabilities.device_class = options_.device_class;
  for (const OfferedDataset& dataset : options_.datasets) request.datasets.push_back(dataset.ref);
  for (const auto& [id, held] : held_) {
    const HoldingStage stage = held.record.stage == WorkStage::kReported ? HoldingStage::kReported
                               : held.record.stage == WorkStage::kReady  ? HoldingStage::kReady
                                                                         : HoldingStage::kWorking;
    request.holding.push_back({id, stage});
  }
  request.max_wait_ms = max_wait_ms;
  request.telemetry_level = options_.telemetry_level;
  request.session = session_number_;
  request.client_time_ms = deps_.clock->NowMs();
  request.role = options_.role;
  request.models = models_.In(cache_);
  const CostEstimate costs = costs_.Estimate(options_.stated_costs);
  request.telemetry = MakeTelemetry(costs);
  if (options_.telemetry_level > 0) request.costs = WithCoarseLink(costs, options_.stated_costs);
  return request;
}

void SessionCore::CheckIn(int64_t max_wait_ms) {
  active_.clear();
  StartWatch();
  check_in_us_ = deps_.clock->MonotonicUs();
  const absl::Status saved = costs_.SaveNowAndThen(check_in_us_);
  if (!saved.ok()) EmitProblem(absl::StrCat("cannot keep the costs: ", StatusText(saved)));
  deps_.transport->CheckIn(MakeCheckIn(max_wait_ms), Reply(&SessionCore::OnCheckIn));
}

void SessionCore::OnCheckIn(absl::StatusOr<CheckInResponse> response) {
  const bool cut = std::exchange(conditions_cut_, false);
  if (cut && absl::IsCancelled(response.status())) return Next();
  const bool consulted = std::exchange(consult_, false);
  if (!response.ok()) {
    // Unfinished work does not need an answer; it needs one only if it is to be dropped.
    const bool go_on = consulted && NextUnfinished() != nullptr && !IsDenied(response.status());
    return go_on ? Next() : RetryLater(response.status());
  }
  backoff_.Reset();
  bool news = false;
  for (const OutcomeNotice& notice : response->outcomes) {
    const auto found = held_.find(notice.assignment_id);
    if (found == held_.end()) continue;
    news |= ApplyOutcome(&found->second, notice.outcome, notice.reason);
  }
  if (!response->forward.empty()) return Follow(response->forward);
  forwards_ = 0;
  if (response->assignment.has_value()) {
    Accept(*std::move(response->assignment));
    return Next();
  }
  if (NextUnfinished() != nullptr) return Next();
  SessionEvent wait{SessionEventKind::kWaiting};
  if (response->rejection.has_value()) {
    wait.text = response->rejection->reason;
    wait.delay_ms =
        backoff_.Spread(std::max(response->rejection->retry_after_ms, options_.backoff.initial_ms));
    return Wait(std::move(wait));
  }
  if (news || deps_.clock->MonotonicUs() - check_in_us_ >= kHeldOpenUs) return Next();
  wait.text = "the coordinator answered without news";
  wait.delay_ms = backoff_.Spread(kIdleMs);
  Wait(std::move(wait));
}

void SessionCore::Follow(const std::string& address) {
  SessionEvent event{SessionEventKind::kForwarded};
  event.text = address;
  Emit(event);
  if (deps_.connect != nullptr && ++forwards_ <= kMaxForwards) {
    if (std::shared_ptr<ClientTransport> next = deps_.connect(address)) {
      deps_.transport->Sleep();
      deps_.transport = next.get();
      // The one before it may be inside the callback that brought us here.
      std::swap(forwarded_, next);
      deps_.executor->Post([old = std::move(next)]() mutable { old.reset(); });
      return Next();
    }
  }
  SessionEvent denied{SessionEventKind::kDenied};
  denied.text = absl::StrCat("the coordinator forwards this client to ", address,
                             ", which it cannot follow; start it with that address");
  denied.delay_ms = backoff_.Spread(options_.denied_backoff_ms);
  Wait(std::move(denied));
}

void SessionCore::RetryLater(const absl::Status& status) {
  SessionEvent event{SessionEventKind::kWaiting};
  event.assignment_id = active_;
  event.status = status;
  if (IsTransient(status) || (!active_.empty() && !IsDenied(status))) {
    event.text = StatusText(status);
    event.delay_ms = std::max(backoff_.NextMs(), backoff_.Spread(RetryAfterMs(status).value_or(0)));
  } else {
    event.kind = SessionEventKind::kDenied;
    event.text = DeniedText(status);
    event.delay_ms = backoff_.Spread(options_.denied_backoff_ms);
  }
  Wait(std::move(event));
}

void SessionCore::Wait(SessionEvent event) {
  const int64_t delay_ms = event.delay_ms;
  Emit(std::move(event));
  if (delay_ms > options_.sleep_after_ms) deps_.transport->Sleep();
  timer_ = deps_.executor->PostAfter(
      delay_ms, [fire = Reply(&SessionCore::OnTimer)]() mutable { fire(true); });
}

void SessionCore::OnTimer(bool /*fired*/) {
  timer_ = 0;
  Next();
}

void SessionCore::CancelWork(const std::string& reason) {
  Held* const held = NextUnfinished();
  if (stopping_ || held == nullptr || held->record.stage != WorkStage::kAssigned) return;
  cancel_reason_ = reason.empty() ? "cancelled by the device" : reason;
  if (working_) {
    // A verification is over in a moment; the check is made after it.
    if (training_) *training_cancel_ = true;
    return;
  }
  if (timer_ != 0) {
    deps_.executor->Cancel(timer_);
    ++epoch_;
    return OnTimer(false);
  }
  deps_.transport->CancelAll();
}

void SessionCore::Stop(absl::AnyInvocable<void()> done) {
  on_stopped_.push_back(std::move(done));
  if (stopped_) return FinishStop();
  if (std::exchange(stopping_, true)) return;
  *training_cancel_ = true;
  StopWatch();
  if (timer_ != 0) deps_.executor->Cancel(timer_);
  // What the network still says is no longer for us; a task that runs must end first.
  deps_.transport->CancelAll();
  if (working_) return;
  ++epoch_;
  Held* const held = Active();
  if (std::exchange(metering_, false) && held != nullptr) {
    AddEnergySample(meter_.End(0), &held->record.report.energy);
    Save(*held);
  }
  FinishStop();
}

void SessionCore::FinishStop() {
  if (!std::exchange(stopped_, true)) {
    const absl::Status saved = costs_.Save();
    if (!saved.ok()) EmitProblem(absl::StrCat("cannot keep the costs: ", StatusText(saved)));
    Emit({SessionEventKind::kStopped});
  }
  std::vector<absl::AnyInvocable<void()>> done;
  done.swap(on_stopped_);
  for (absl::AnyInvocable<void()>& callback : done) {
    if (callback) callback();
  }
}

void SessionCore::Emit(SessionEvent event) const {
  if (deps_.observer != nullptr) deps_.observer->OnEvent(event);
}

void SessionCore::EmitFor(SessionEventKind kind, const Held& held, const std::string& text) const {
  SessionEvent event{kind};
  event.assignment_id = held.record.assignment.id;
  event.text = text;
  event.assignment = &held.record.assignment;
  event.report = &held.record.report;
  Emit(std::move(event));
}

void SessionCore::EmitProblem(const std::string& text) const {
  SessionEvent event{SessionEventKind::kProblem};
  event.text = text;
  Emit(std::move(event));
}

void SessionCore::BeginTransfer(Phase phase) {
  transfer_us_ = deps_.clock->MonotonicUs();
  meter_.Begin(phase);
  metering_ = true;
}

EnergySample SessionCore::EndTransfer(uint64_t bytes, bool complete) {
  metering_ = false;
  EnergySample sample = meter_.End(bytes);
  if (complete) costs_.AddTransfer(sample, deps_.clock->MonotonicUs() - transfer_us_);
  return sample;
}

void SessionCore::Save(const Held& held) { Written(held, store_.PutProgress(held.record)); }

void SessionCore::Written(const Held& held, const absl::Status& status) const {
  if (!status.ok()) {
    EmitProblem(absl::StrCat("cannot write down the state of ", held.record.assignment.id, ": ",
                             std::string(status.message()),
                             "; until that works, a restart repeats some of its work"));
  }
}

}  // namespace fedwatt
