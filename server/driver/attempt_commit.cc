// How an attempt ends: the strategy's step, the commit, or its abandonment.

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "server/driver/job_driver.h"
#include "server/driver/model_io.h"
#include "server/driver/retention.h"
#include "server/ledger/energy_ledger.h"

namespace fedwatt {
namespace {

constexpr int64_t kWriteRetryMs = 1000;
// How often the coordinator's own joules are written down with what is written anyway, and without.
constexpr int64_t kNoteEveryUs = 1'000'000;
constexpr int64_t kNoteAtLeastEveryMs = 30'000;

absl::StatusOr<Digest> PutState(BlobStore* blobs, const std::string& state) {
  if (state.empty()) return Digest{};
  FW_ASSIGN_OR_RETURN(const BlobRef blob, blobs->Put(AsBytes(state)));
  return blob.sha256;
}

}  // namespace

struct JobDriver::ApplyInputs {
  std::shared_ptr<Aggregator> aggregator;
  uint64_t version = 0;
  std::shared_ptr<const MappedFile> base;
  std::shared_ptr<const Broadcast> broadcast;  // null: none is made
  std::string selector_state;
};

struct JobDriver::AppliedModel {
  BlobRef model;
  std::shared_ptr<const Broadcast> broadcast;
  Digest broadcast_state{};
  Digest strategy_state{};
  std::string strategy_text;
  Digest selector_state{};
};

// Reads and writes model-sized data, hence off the strand, which meanwhile leaves strategy_ alone:
// in Applying the round asks nothing of it.
absl::StatusOr<JobDriver::AppliedModel> JobDriver::Apply(ApplyInputs inputs) const {
  AppliedModel applied;
  FW_ASSIGN_OR_RETURN(AggregateResult sum, std::move(*inputs.aggregator).Report());
  inputs.aggregator.reset();
  const ByteSpan base = inputs.base->bytes();
  std::vector<float> parameters = GatherTrainable(setup_->layout, base);
  // An attempt that failed after this step must not have taken it.
  FW_RETURN_IF_ERROR(strategy_->LoadState(strategy_state_));
  FW_RETURN_IF_ERROR(strategy_->Apply(sum.mean_delta, parameters));
  std::vector<float>().swap(sum.mean_delta);
  BlobStore* const blobs = context_->deps.blobs;
  FW_ASSIGN_OR_RETURN(applied.model, PutModel(blobs, setup_->header.manifest, setup_->layout, base,
                                              parameters, sum.buffers));
  applied.strategy_text = strategy_->SaveState();
  FW_ASSIGN_OR_RETURN(applied.strategy_state, PutState(blobs, applied.strategy_text));
  FW_ASSIGN_OR_RETURN(applied.selector_state, PutState(blobs, inputs.selector_state));
  if (inputs.broadcast == nullptr) return applied;
  ExactModel exact{inputs.version, applied.model.sha256, std::move(parameters), sum.buffers};
  auto next = NextBroadcast(*setup_, *inputs.broadcast, std::move(exact), blobs);
  if (!next.ok()) return Annotate(next.status(), "what clients get of it");
  FW_ASSIGN_OR_RETURN(applied.broadcast_state, PutState(blobs, FormatBroadcastState(*next)));
  FW_ASSIGN_OR_RETURN(applied.broadcast, OpenBroadcast(blobs, *std::move(next)));
  return applied;
}

void JobDriver::Do(const ApplyUpdate&) {
  attempt_->writing = std::make_shared<BlobReferences::WriteScope>(context_->references);
  const RoundKey key = attempt_->key();
  ApplyInputs inputs{std::move(attempt_->aggregator), key.round, base_file_, broadcast_,
                     attempt_->selector_state};
  context_->work->Post([weak = weak_from_this(), key, inputs = std::move(inputs),
                        writing = attempt_->writing]() mutable {
    const auto self = weak.lock();
    if (self == nullptr) return;
    auto applied = std::make_shared<absl::StatusOr<AppliedModel>>(self->Apply(std::move(inputs)));
    self->PostSelf([key, applied](JobDriver& driver) {
      if (driver.InAttempt(key)) driver.OnApplied(*std::move(applied));
    });
  });
}

void JobDriver::OnApplied(absl::StatusOr<AppliedModel> applied) {
  if (!applied.ok()) {
    Step(RoundError{NowMs(), absl::StrCat("making the new model: ", StatusText(applied.status()))});
    return;
  }
  attempt_->strategy_state = applied->strategy_state;
  attempt_->strategy_text = std::move(applied->strategy_text);
  attempt_->saved_selector_state = applied->selector_state;
  attempt_->broadcast = std::move(applied->broadcast);
  attempt_->broadcast_state = applied->broadcast_state;
  Step(Applied{NowMs(), applied->model});
}

RoundSummary JobDriver::AttemptSummary(bool counts) const {
  RoundSummary summary = CurrentSummary();
  summary.phase = counts ? "committed" : "abandoned";
  summary.ended_ms = NowMs();
  RoundMetrics metrics = attempt_->wasted;
  for (const std::optional<AcceptedReport>& accepted : attempt_->accepted) {
    if (!accepted) continue;
    if (counts) {
      metrics.Add(accepted->report);
    } else {
      metrics.AddWasted(accepted->report);
    }
  }
  for (const auto& [index, report] : attempt_->sent_again) {
    if (!attempt_->accepted[index]) metrics.AddWasted(report);
  }
  metrics.FillSummary(attempt_->key().evaluation, &summary);
  summary.booked_uj = budget_.BookedAtEndUj();
  summary.booked_ug = budget_.BookedAtEndUg();
  return summary;
}

RoundCommitted JobDriver::MakeCommit(const BlobRef& model) const {
  RoundCommitted commit;
  commit.key = attempt_->key();
  commit.summary = AttemptSummary(true);
  commit.now_ms = NowMs();
  commit.coordinator = attempt_->own_energy;
  commit.carbon = budget_.CarbonAt(commit.now_ms);
  commit.best = best_;
  EarlyStop stop = early_stop_;
  if (commit.key.evaluation) {
    commit.model = last_;
    commit.strategy_state = strategy_blob_;
    commit.selector_state = selector_blob_;
    commit.codec_state = broadcast_blob_;
    if (stop.Add(*commit.summary.evaluation, commit.summary.booked_uj)) commit.best = last_;
  } else {
    commit.model = last_;
    commit.model.version = commit.key.round;
    commit.model.parent = last_.sha256;
    commit.model.sha256 = model.sha256;
    commit.strategy_state = attempt_->strategy_state;
    commit.selector_state = attempt_->saved_selector_state;
    commit.codec_state = attempt_->broadcast_state;
    // Without evaluations nothing tells a better model from a worse one.
    if (!stop.best()) commit.best = commit.model;
  }
  commit.best_metric = stop.best();
  commit.summary.model = commit.model;
  return commit;
}

void JobDriver::OpenOwnEnergy() {
  if (own_before_ && own_before_->key == attempt_->key()) {
    attempt_->own_energy = std::move(own_before_->samples);
  }
  own_before_.reset();
  if (context_->deps.own_energy == nullptr) return;
  const RoundKey& key = attempt_->key();
  context_->deps.own_energy->Begin(key.ToString(),
                                   key.evaluation ? Phase::kEvaluate : Phase::kTrain);
  attempt_->own_energy_noted_us = context_->deps.clock->MonotonicUs();
  ArmOwnEnergyTimer();
}

// A kill loses what the coordinator spent since this was last written: no meter knows. So it goes
// along with what is written anyway, and now and then by itself.
void JobDriver::NoteOwnEnergy(std::vector<StoreWrite>* batch) {
  if (context_->deps.own_energy == nullptr || attempt_->own_energy_closed) return;
  const int64_t now_us = context_->deps.clock->MonotonicUs();
  if (now_us - attempt_->own_energy_noted_us < kNoteEveryUs) return;
  attempt_->own_energy_noted_us = now_us;
  CoordinatorSpent spent{attempt_->key(), attempt_->own_energy, NowMs()};
  spent.samples = AddSpent(std::move(spent.samples),
                           context_->deps.own_energy->SoFar(attempt_->key().ToString()));
  batch->emplace_back(AppendLog{std::move(spent)});
}

void JobDriver::ArmOwnEnergyTimer() {
  strand_.Cancel(std::exchange(own_energy_timer_, 0));
  own_energy_timer_ = PostSelfAfter(kNoteAtLeastEveryMs, [](JobDriver& self) {
    if (self.attempt_ == nullptr || self.attempt_->own_energy_closed) return;
    std::vector<StoreWrite> batch;
    self.NoteOwnEnergy(&batch);
    // What cannot be written now goes along with what follows.
    if (!batch.empty()) {
      self.context_->deps.store->Write(std::move(batch), [](const absl::Status&) {});
    }
    self.ArmOwnEnergyTimer();
  });
}

// Before the record that ends the attempt; a commit that cannot be written is followed by another.
void JobDriver::CloseOwnEnergy() {
  if (context_->deps.own_energy == nullptr) return;
  attempt_->own_energy = AddSpent(std::move(attempt_->own_energy),
                                  context_->deps.own_energy->End(attempt_->key().ToString()));
  attempt_->own_energy_closed = true;
  strand_.Cancel(std::exchange(own_energy_timer_, 0));
}

// Accepted reports whose updates a restart lost, and which did not come once more in time: the sum
// is without them.
std::vector<StoreWrite> JobDriver::TakenBack() const {
  std::vector<StoreWrite> batch;
  for (const auto& [index, report] : attempt_->sent_again) {
    if (attempt_->accepted[index]) continue;
    batch.push_back(AppendLog{
        ReportRefused{.key = attempt_->key(),
                      .index = index,
                      .reason = "late: its update was lost when the coordinator restarted, and the "
                                "round was committed before it came again",
                      .now_ms = NowMs()}});
  }
  return batch;
}

void JobDriver::Do(const CommitRound& action) {
  CloseOwnEnergy();
  const RoundKey key = attempt_->key();
  auto commit = std::make_shared<const RoundCommitted>(MakeCommit(action.model));
  std::vector<StoreWrite> batch = TakenBack();
  batch.push_back(AppendLog{*commit});
  context_->deps.store->Write(
      std::move(batch), [weak = weak_from_this(), key, commit](absl::Status written) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->PostSelf([key, commit, written](JobDriver& driver) {
          if (!driver.InAttempt(key)) return;
          if (written.ok()) return driver.OnCommitted(*commit);
          driver.Step(RoundError{driver.NowMs(),
                                 absl::StrCat("writing the commit: ", StatusText(written))});
        });
      });
}

void JobDriver::OnCommitted(const RoundCommitted& commit) {
  Step(CommitDurable{NowMs()});
  budget_.End();
  AddTotals(commit.summary.energy, &energy_);
  bytes_down_ += commit.summary.bytes_down;
  bytes_up_ += commit.summary.bytes_up;
  for (const std::string& client : attempt_->facts->clients) {
    if (!commit.key.evaluation) last_assigned_[client] = commit.key.round;
  }
  retry_at_ms_ = 0;
  if (commit.key.evaluation) {
    OnEvaluationCommitted(commit);
  } else {
    OnTrainingCommitted(commit);
  }
  ReleaseAttempt(Outcome::kCommitted, "");
  Retain();
  Publish();
  Proceed();
}

void JobDriver::OnTrainingCommitted(const RoundCommitted& commit) {
  rounds_done_ = commit.key.round;
  next_attempt_ = 1;
  next_evaluation_attempt_ = 1;
  last_ = commit.model;
  best_ = commit.best;
  models_.push_back(commit.model);
  strategy_state_ = attempt_->strategy_text;
  strategy_blob_ = commit.strategy_state;
  selector_state_ = attempt_->selector_state;
  selector_blob_ = commit.selector_state;
  broadcast_ = std::move(attempt_->broadcast);
  broadcast_blob_ = commit.codec_state;
  auto base = context_->deps.blobs->Open(last_.sha256);
  if (base.ok()) {
    base_file_ = *std::move(base);
  } else {
    failure_ = absl::StrCat("the model just committed cannot be read: ", StatusText(base.status()));
  }
  LogInfo("round committed", {{"job", setup_->id},
                              {"round", absl::StrCat(commit.key.round)},
                              {"reports", absl::StrCat(commit.summary.reported)},
                              {"model", DigestHex(last_.sha256)}});
  open_round_ = commit.summary;
  round_began_ms_ = commit.summary.started_ms;
  evaluation_began_ms_ = commit.now_ms;
  if (!EvaluationDue(commit.key.round)) CloseRound();
}

void JobDriver::OnEvaluationCommitted(const RoundCommitted& commit) {
  early_stop_.Add(*commit.summary.evaluation, commit.summary.booked_uj);
  best_ = commit.best;
  // As the store merges it (projection.h).
  open_round_->evaluation = commit.summary.evaluation;
  open_round_->bytes_down += commit.summary.bytes_down;
  open_round_->bytes_up += commit.summary.bytes_up;
  open_round_->booked_uj = commit.summary.booked_uj;
  open_round_->booked_ug = commit.summary.booked_ug;
  AddTotals(commit.summary.energy, &open_round_->energy);
  for (const auto& [phase, seconds] : commit.summary.seconds_by_phase) {
    open_round_->seconds_by_phase[phase] += seconds;
  }
  CloseRound();
}

void JobDriver::CloseRound() { status_->AddRound(*std::exchange(open_round_, std::nullopt)); }

void JobDriver::Do(const AbandonRound& action) {
  Do(ClearTimer{});
  context_->pool->CloseDemand(setup_->id);
  AttemptAbandoned record;
  record.key = attempt_->key();
  record.reason = action.reason;
  if (action.cause == AbandonCause::kTooFewReports && !attempt_->last_failure.empty()) {
    absl::StrAppend(&record.reason, "; a client said: ", attempt_->last_failure);
  }
  if (!attempt_->over_budget.empty()) record.reason = attempt_->over_budget;
  attempt_->abandoned_because = record.reason;
  record.retry_at_ms = action.retry_at_ms;
  record.give_up = action.give_up;
  record.now_ms = NowMs();
  CloseOwnEnergy();
  record.coordinator = attempt_->own_energy;
  record.carbon = budget_.CarbonAt(record.now_ms);
  if (record.key.evaluation && action.cause != AbandonCause::kOperator) {
    const int64_t over_ms = evaluation_began_ms_ + setup_->Limits(true).selection_timeout_ms;
    record.give_up =
        record.give_up || action.cause == AbandonCause::kTooFewClients || record.now_ms >= over_ms;
  }
  record.give_up = record.give_up || (record.key.evaluation && ending_ == "budget");
  record.summary = AttemptSummary(false);
  record.summary.reason = record.reason;
  LogWarning("attempt abandoned", {{"attempt", record.key.ToString()},
                                   {"reason", record.reason},
                                   {"gives_up", record.give_up ? "yes" : "no"}});
  Publish();
  WriteAbandoned(std::move(record), action.cause);
}

void JobDriver::WriteAbandoned(AttemptAbandoned record, AbandonCause cause) {
  const RoundKey key = record.key;
  auto shared = std::make_shared<const AttemptAbandoned>(std::move(record));
  context_->deps.store->Write(
      {AppendLog{*shared}}, [weak = weak_from_this(), key, shared, cause](absl::Status written) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->PostSelf([key, shared, cause, written](JobDriver& driver) {
          if (!driver.InAttempt(key)) return;
          if (written.ok()) return driver.OnAbandoned(*shared, cause);
          // A disk that was full may have room later; until then the attempt is not over.
          LogWarning("an abandoned attempt cannot be written down; trying again",
                     {{"attempt", key.ToString()}, {"error", StatusText(written)}});
          driver.round_timer_ =
              driver.PostSelfAfter(kWriteRetryMs, [key, shared, cause](JobDriver& later) {
                if (later.InAttempt(key)) later.WriteAbandoned(*shared, cause);
              });
        });
      });
}

void JobDriver::OnAbandoned(const AttemptAbandoned& record, AbandonCause cause) {
  attempt_->assigned ? budget_.End() : budget_.Drop();
  AddTotals(record.summary.energy, &energy_);
  bytes_down_ += record.summary.bytes_down;
  bytes_up_ += record.summary.bytes_up;
  retry_at_ms_ = record.retry_at_ms;
  if (!record.key.evaluation) {
    next_attempt_ = record.key.attempt + 1;
    if (record.give_up) {
      failure_ = absl::StrCat("round ", record.key.round, " was abandoned ", record.key.attempt,
                              " times, the limit (round.max_attempts); at last: ", record.reason);
    }
  } else {
    next_evaluation_attempt_ = record.key.attempt + 1;
    if (record.give_up && open_round_) {
      open_round_->reason = absl::StrCat("not evaluated: ", record.reason);
      retry_at_ms_ = 0;
      CloseRound();
    }
  }
  ReleaseAttempt(Outcome::kAbandoned, record.reason);
  status_->TellAbandoned(record.summary);
  if (cause == AbandonCause::kOperator) retry_at_ms_ = 0;
  Publish();
  Proceed();
}

// The clients are free, the outcome is known, what was spooled is of no more use.
void JobDriver::ReleaseAttempt(Outcome outcome, const std::string& reason) {
  Do(ClearTimer{});
  const std::unique_ptr<Attempt> ended = std::move(attempt_);
  context_->board->End(ended->key(), outcome, reason);
  for (auto& [index, done] : ended->repeats) {
    done(ReportReply{.accepted = false, .outcome = outcome, .reason = reason});
  }
  for (const std::string& client : ended->claimed) context_->pool->Finish(setup_->id, client);
  if (ended->facts == nullptr) return;
  for (const std::string& client : ended->facts->clients) {
    context_->pool->Finish(setup_->id, client);
  }
  if (ended->key().evaluation) return;
  // Removing files takes milliseconds, and the next attempt should not wait for it. What a shutdown
  // leaves is swept at the next start.
  context_->work->Post([spool = context_->deps.spool, facts = ended->facts] {
    for (uint32_t i = 0; i < facts->clients.size(); ++i) {
      spool->Remove(MakeAssignmentId(facts->key, i));
    }
  });
}

// After a commit: the log says what is needed now, so the rest may go.
void JobDriver::Retain() {
  models_ = ModelsToKeep(models_, setup_->spec.retention, best_.version);
  ReferToBlobs();
}

void JobDriver::ReferToBlobs() {
  std::set<Digest> needed = {setup_->bundle.sha256};
  for (const ModelRef& model : models_) needed.insert(model.sha256);
  for (const Digest& state : {strategy_blob_, selector_blob_}) {
    if (state != Digest{}) needed.insert(state);
  }
  if (broadcast_ != nullptr && GoesOn()) {
    for (const BlobRef& blob : broadcast_->state.Blobs()) needed.insert(blob.sha256);
    if (broadcast_blob_ != Digest{}) needed.insert(broadcast_blob_);
  }
  context_->references->Set(setup_->id, std::move(needed));
  MutexLock lock(&kept_mutex_);
  kept_ = models_;
}

}  // namespace fedwatt
