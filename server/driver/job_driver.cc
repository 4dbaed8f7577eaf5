#include "server/driver/job_driver.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_util.h"
#include "server/ledger/energy_ledger.h"

namespace fedwatt {
namespace {

// Between tries to write what must be written (a full disk may have room again).
constexpr int64_t kWriteRetryMs = 1000;

}  // namespace

void DriverContext::Reply(ReplyDone done, absl::StatusOr<ReportReply> reply) const {
  deps.executor->Post(
      [done = std::move(done), reply = std::move(reply)]() mutable { done(std::move(reply)); });
}

JobDriver::JobDriver(const DriverContext* context, JobRecord record,
                     std::shared_ptr<const JobSetup> setup, std::shared_ptr<CarbonSource> carbon)
    : context_(context),
      setup_(std::move(setup)),
      status_(std::make_shared<JobStatus>(std::move(record), context->deps.store,
                                          context->deps.executor)),
      early_stop_(setup_->spec.stop),
      budget_(setup_, std::move(carbon)),
      strand_(context->deps.executor) {}

Task JobDriver::Bound(SelfTask task) {
  return [weak = weak_from_this(), task = std::move(task)]() mutable {
    const std::shared_ptr<JobDriver> self = weak.lock();
    if (self == nullptr) return;
    MutexLock lock(&self->run_mutex_);
    if (!self->halted_) task(*self);
  };
}

void JobDriver::PostSelf(SelfTask task) { strand_.Post(Bound(std::move(task))); }

uint64_t JobDriver::PostSelfAfter(int64_t delay_ms, SelfTask task) {
  return strand_.PostAfter(delay_ms, Bound(std::move(task)));
}

void JobDriver::Start() {
  PostSelf([](JobDriver& self) { self.OnStart(); });
}

void JobDriver::OnStart() {
  const bool running = status_->state() == JobState::kRunning;
  if (running) {
    Register();
    ArmWallTimer();
  }
  Publish();
  if (attempt_ == nullptr) return Proceed();
  OpenOwnEnergy();
  PublishAttempt();
  if (!running) return Step(OperatorStopped{NowMs()});
  if (!attempt_->unknown_codec.ok()) {
    return Step(RoundError{NowMs(), absl::StrCat("resuming an attempt that another version began: ",
                                                 StatusText(attempt_->unknown_codec))});
  }
  const RoundKey key = attempt_->key();
  for (uint32_t i = 0; i < attempt_->accepted.size(); ++i) {
    if (attempt_->accepted[i]) Fold(i);
  }
  for (const RoundAction& action : attempt_->round.Resume()) {
    if (!InAttempt(key)) return;
    std::visit([this](const auto& kind) { Do(kind); }, action);
  }
  Publish();
}

void JobDriver::RecordChanged() {
  PostSelf([](JobDriver& self) { self.OnRecordChanged(); });
}

void JobDriver::Halt() {
  context_->pool->RemoveJob(setup_->id);
  status_->DropWatchers();
  MutexLock lock(&run_mutex_);
  halted_ = true;
}

void JobDriver::Register() {
  ClientPool::Job job;
  job.id = setup_->id;
  job.priority = setup_->spec.priority;
  job.needs.push_back(setup_->training);
  if (setup_->spec.evaluation.every > 0) job.needs.push_back(setup_->evaluation);
  job.wanted = setup_->MaxReports();
  job.resend = [weak = weak_from_this()](const std::string& client) {
    if (const auto self = weak.lock()) {
      self->PostSelf([client](JobDriver& driver) { driver.Resend(client); });
    }
  };
  context_->pool->AddJob(std::move(job));
}

void JobDriver::OnRecordChanged() {
  if (status_->state() == JobState::kRunning) {
    Register();
    ArmWallTimer();
    if (attempt_ == nullptr) Proceed();
    return;
  }
  strand_.Cancel(std::exchange(retry_timer_, 0));
  strand_.Cancel(std::exchange(wall_timer_, 0));
  if (attempt_ != nullptr) Step(OperatorStopped{NowMs()});
  context_->pool->RemoveJob(setup_->id);
  Publish();
}

void JobDriver::Proceed() {
  if (attempt_ != nullptr || status_->state() != JobState::kRunning) return;
  strand_.Cancel(std::exchange(retry_timer_, 0));
  if (!failure_.empty()) return End(JobState::kFailed, "failed", failure_);
  if (!open_round_ && !WhyDone().empty()) {
    return End(JobState::kCompleted, WhyDone(), WhyDone() == ending_ ? why_ending_ : "");
  }
  if (Waits()) return;
  if (const int64_t wait_ms = retry_at_ms_ - NowMs(); wait_ms > 0) {
    retry_timer_ = PostSelfAfter(wait_ms, [](JobDriver& self) { self.Proceed(); });
    Publish();
    return;
  }
  if (open_round_) {
    Begin(RoundKey{setup_->id, rounds_done_, next_evaluation_attempt_, true});
  } else {
    Begin(RoundKey{setup_->id, rounds_done_ + 1, next_attempt_, false});
  }
}

// What keeps a new round from beginning.
std::optional<JobBudget::Pause> JobDriver::PauseAt(int64_t now_ms) const {
  if (open_round_) return std::nullopt;
  const double interval_s = setup_->spec.round.interval_s;
  const int64_t next_ms = round_began_ms_ + std::llround(interval_s * 1000);
  if (round_began_ms_ > 0 && next_attempt_ == 1 && next_ms > now_ms) {
    return JobBudget::Pause{
        next_ms, absl::StrCat("round ", rounds_done_ + 1, " begins round.interval_s = ", interval_s,
                              " after the one before")};
  }
  return budget_.PauseAt(now_ms, status_->record().created_ms);
}

// For the next round's turn, another day's budget, or cleaner hours; an evaluation waits for a
// day's budget only.
bool JobDriver::Waits() {
  const int64_t now_ms = NowMs();
  if (now_ms >= wait_until_ms_) {
    const auto pause = PauseAt(now_ms);
    wait_until_ms_ = pause ? pause->until_ms : 0;
    if (pause && wait_reason_.empty()) {
      LogInfo("a job waits", {{"job", setup_->id}, {"why", pause->reason}});
    }
    wait_reason_ = pause ? pause->reason : "";
  }
  if (wait_until_ms_ == 0) return false;
  retry_timer_ = PostSelfAfter(wait_until_ms_ - now_ms, [](JobDriver& self) { self.Proceed(); });
  Publish();
  return true;
}

bool JobDriver::WallTimeIsOver(int64_t at_ms) const {
  const double limit_s = setup_->spec.stop.max_wall_s;
  return limit_s > 0 && static_cast<double>(at_ms - status_->record().created_ms) >= limit_s * 1000;
}

bool JobDriver::EvaluationDue(uint64_t round) const {
  const uint32_t every = setup_->spec.evaluation.every;
  return every > 0 && (round % every == 0 || round >= setup_->spec.rounds || WallTimeIsOver());
}

// A function of what the log holds: a restart comes to the same answer.
bool JobDriver::EvaluatesExact(const Attempt& attempt) const {
  return attempt.key().evaluation &&
         (attempt.key().round >= setup_->spec.rounds || WallTimeIsOver(attempt.began_ms));
}

std::string JobDriver::WhyDone() const {
  if (!early_stop_.reason().empty()) return early_stop_.reason();
  if (rounds_done_ >= setup_->spec.rounds) return "rounds";
  if (!ending_.empty()) return ending_;
  return WallTimeIsOver() ? "time" : "";
}

void JobDriver::Begin(RoundKey key) {
  RoundLimits limits = setup_->Limits(key.evaluation);
  const int64_t now_ms = NowMs();
  if (key.evaluation) {
    // One time limit for all attempts at one evaluation.
    const int64_t over_ms = evaluation_began_ms_ + limits.selection_timeout_ms;
    limits.selection_timeout_ms = std::max<int64_t>(over_ms - now_ms, 0);
  }
  attempt_ = std::make_unique<Attempt>(std::move(key), limits);
  attempt_->began_ms = now_ms;
  OpenOwnEnergy();
  Step(BeginAttempt{now_ms});
  OpenDemand();
}

void JobDriver::End(JobState state, const std::string& stop_reason, const std::string& reason) {
  const int64_t now_ms = NowMs();
  const absl::Status refused = status_->Change(
      [&](JobRecord* record) {
        if (record->state != JobState::kRunning) {
          return absl::FailedPreconditionError("the job does not run");
        }
        record->state = state;
        record->stop_reason = stop_reason;
        record->reason = reason;
        record->ended_ms = now_ms;
        return absl::OkStatus();
      },
      [weak = weak_from_this()](absl::Status written) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->PostSelf([written](JobDriver& driver) {
          if (written.ok()) {
            driver.strand_.Cancel(std::exchange(driver.wall_timer_, 0));
            driver.context_->pool->RemoveJob(driver.setup_->id);
            driver.ReferToBlobs();
            return;
          }
          LogError("cannot write a job's end; trying again",
                   {{"job", driver.setup_->id}, {"error", StatusText(written)}});
          driver.retry_timer_ =
              driver.PostSelfAfter(kWriteRetryMs, [](JobDriver& self) { self.Proceed(); });
        });
      });
  if (!refused.ok()) return;
  LogInfo("job ended", {{"job", setup_->id},
                        {"state", JobStateName(state)},
                        {"because", stop_reason},
                        {"reason", reason}});
}

void JobDriver::ArmWallTimer() {
  const double limit_s = setup_->spec.stop.max_wall_s;
  strand_.Cancel(std::exchange(wall_timer_, 0));
  if (limit_s <= 0 || status_->state() != JobState::kRunning) return;
  const int64_t end_ms =
      status_->record().created_ms + static_cast<int64_t>(std::llround(limit_s * 1000));
  wall_timer_ = PostSelfAfter(end_ms - NowMs(), [](JobDriver& self) { self.OnWallTime(); });
}

void JobDriver::OnWallTime() {
  ending_ = "time";
  // An evaluation has a time limit of its own, and the last model deserves it.
  if (attempt_ == nullptr) {
    retry_at_ms_ = 0;
    wait_until_ms_ = 0;
    Proceed();
  } else if (!attempt_->key().evaluation) {
    Step(OperatorStopped{NowMs()});
  }
}

RoundSummary JobDriver::CurrentSummary() const {
  RoundSummary summary;
  if (attempt_ == nullptr) {
    summary.key = RoundKey{setup_->id, rounds_done_ + 1, next_attempt_, false};
    summary.phase = wait_reason_.empty() ? "idle" : "waiting";
    summary.reason = wait_reason_;
    return summary;
  }
  summary.key = attempt_->key();
  summary.phase = RoundPhaseName(attempt_->round.phase());
  summary.assigned = static_cast<uint32_t>(attempt_->round.clients().size());
  // Persist before send: nobody sees a report that a restart would not know.
  summary.reported = attempt_->durable;
  summary.failed = attempt_->round.failed();
  summary.late = attempt_->late;
  summary.reason = attempt_->abandoned_because;
  summary.model = last_;
  summary.started_ms = attempt_->began_ms;
  summary.codecs = attempt_->codecs;
  return summary;
}

void JobDriver::Publish() {
  JobStatus::Progress progress;
  progress.rounds_done = rounds_done_;
  progress.last = last_;
  progress.best = best_;
  progress.best_metric = early_stop_.best();
  progress.current = CurrentSummary();
  progress.energy = energy_;
  progress.bytes_down = bytes_down_;
  progress.bytes_up = bytes_up_;
  progress.budget = budget_.View();
  status_->Publish(std::move(progress));
}

std::vector<ModelRef> JobDriver::KeptModels() const {
  MutexLock lock(&kept_mutex_);
  return kept_;
}

}  // namespace fedwatt
