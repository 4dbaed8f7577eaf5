// From the store and the blobs back to where the job was.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "server/driver/job_driver.h"
#include "server/driver/retention.h"

namespace fedwatt {
namespace {

bool GoesOnIn(JobState state) { return state == JobState::kRunning || state == JobState::kStopped; }

// A job that runs or may be resumed goes on from its blobs; of the others they are only exported.
absl::Status CheckBlob(BlobStore* blobs, const JobRecord& job, const std::string& what,
                       const Digest& sha256) {
  absl::Status checked = GoesOnIn(job.state) ? blobs->Verify(sha256) : absl::OkStatus();
  if (absl::IsNotFound(checked)) checked = absl::DataLossError(std::string(checked.message()));
  return Annotate(checked, absl::StrCat("job ", job.id, ": ", what));
}

absl::StatusOr<std::string> ReadState(BlobStore* blobs, const Digest& sha256) {
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, blobs->Open(sha256));
  return std::string(AsText(file->bytes()));
}

}  // namespace

absl::StatusOr<std::shared_ptr<JobDriver>> JobDriver::Recover(
    const DriverContext* context, JobRecord record, std::shared_ptr<const JobSetup> setup) {
  std::shared_ptr<CarbonSource> carbon;
  if (context->deps.carbon != nullptr) {
    const JobSpec::Carbon& wanted = setup->spec.carbon;
    auto source = context->deps.carbon->For(wanted.source, wanted.region);
    // The coordinator may have another source now; a job that counts grams says so and stops.
    if (source.ok()) {
      carbon = *std::move(source);
    } else {
      LogWarning("a job has no carbon source",
                 {{"job", setup->id}, {"error", StatusText(source.status())}});
    }
  }
  std::shared_ptr<JobDriver> driver(
      new JobDriver(context, std::move(record), std::move(setup), std::move(carbon)));
  FW_RETURN_IF_ERROR(driver->LoadState());
  return driver;
}

absl::Status JobDriver::LoadState() {
  Store* const store = context_->deps.store;
  const std::string& id = setup_->id;
  FW_ASSIGN_OR_RETURN(const std::optional<RoundCommitted> commit, store->LastCommit(id));
  FW_ASSIGN_OR_RETURN(std::vector<RoundSummary> rounds, store->LoadRounds(id));
  FW_ASSIGN_OR_RETURN(const std::vector<LogRecord> log, store->LoadLog(id));
  FW_ASSIGN_OR_RETURN(const std::vector<ClientHistory> history, store->LoadHistory(id));
  FW_ASSIGN_OR_RETURN(const std::vector<ModelRef> models, store->LoadModels(id));
  FW_ASSIGN_OR_RETURN(energy_, store->EnergyTotals(id));
  FW_ASSIGN_OR_RETURN(const std::vector<BudgetEntry> reservations, store->LoadReservations(id));
  budget_.Restore(reservations);
  for (const ClientHistory& client : history) {
    HistoryOf(client.client) = client;
    last_assigned_[client.client] = client.last_round;
  }
  for (const RoundSummary& round : rounds) {
    bytes_down_ += round.bytes_down;
    bytes_up_ += round.bytes_up;
    if (round.evaluation) early_stop_.Add(*round.evaluation, round.booked_uj);
  }
  if (!rounds.empty()) round_began_ms_ = rounds.back().started_ms;
  FW_RETURN_IF_ERROR(LoadModel(commit));
  FW_RETURN_IF_ERROR(LoadPlugins(commit));
  FW_RETURN_IF_ERROR(LoadBroadcast(commit));
  if (GoesOn() && commit && !rounds.empty() && !rounds.back().evaluation &&
      EvaluationDue(rounds_done_)) {
    open_round_ = std::move(rounds.back());
    rounds.pop_back();
    evaluation_began_ms_ = commit->now_ms;
  }
  status_->SetRounds(std::move(rounds));
  for (const LogRecord& record : log) {
    std::visit([this](const auto& kind) { Replay(kind); }, record);
  }
  if (attempt_ != nullptr && !attempt_->sent_again.empty()) {
    LogWarning("accepted updates are gone; their clients will send them again",
               {{"attempt", attempt_->key().ToString()},
                {"updates", absl::StrCat(attempt_->sent_again.size())}});
  }
  models_.insert(models_.end(), models.begin(), models.end());
  models_ = ModelsToKeep(models_, setup_->spec.retention, best_.version);
  ReferToBlobs();
  Publish();
  return absl::OkStatus();
}

absl::Status JobDriver::LoadModel(const std::optional<RoundCommitted>& commit) {
  const JobRecord record = status_->record();
  BlobStore* const blobs = context_->deps.blobs;
  ModelRef initial;
  initial.model = setup_->header.name;
  initial.sha256 = record.initial_model;
  initial.job = setup_->id;
  models_ = {initial};
  last_ = commit ? commit->model : initial;
  best_ = commit ? commit->best : initial;
  rounds_done_ = commit ? commit->key.round : 0;
  FW_RETURN_IF_ERROR(
      CheckBlob(blobs, record, absl::StrCat("model version ", last_.version), last_.sha256));
  FW_ASSIGN_OR_RETURN(base_file_, blobs->Open(last_.sha256));
  const uint64_t wanted = setup_->header.manifest.TotalBytes();
  if (base_file_->bytes().size() == wanted) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("job ", setup_->id, ": model ", DigestHex(last_.sha256),
                                          " has ", base_file_->bytes().size(),
                                          " bytes; the bundle's manifest says ", wanted));
}

bool JobDriver::GoesOn() const { return GoesOnIn(status_->state()); }

absl::Status JobDriver::LoadBroadcast(const std::optional<RoundCommitted>& commit) {
  if (setup_->down == nullptr || !GoesOn()) return absl::OkStatus();
  const JobRecord record = status_->record();
  BlobStore* const blobs = context_->deps.blobs;
  BroadcastState state;
  if (!commit) {
    auto first = FirstBroadcast(*setup_, last_.sha256, base_file_->bytes(), blobs);
    if (!first.ok()) return Annotate(first.status(), absl::StrCat("job ", setup_->id));
    state = *std::move(first);
  } else {
    broadcast_blob_ = commit->codec_state;
    FW_RETURN_IF_ERROR(CheckBlob(blobs, record, "downlink state", broadcast_blob_));
    FW_ASSIGN_OR_RETURN(const std::string text, ReadState(blobs, broadcast_blob_));
    auto parsed = ParseBroadcastState(text);
    if (!parsed.ok() || parsed->exact != last_.sha256 || parsed->version != last_.version) {
      return absl::DataLossError(
          absl::StrCat("job ", setup_->id, ": downlink state ", DigestHex(broadcast_blob_),
                       " is not that of ", "model version ", last_.version, " ",
                       DigestHex(last_.sha256), ": ", StatusText(parsed.status())));
    }
    state = *std::move(parsed);
    for (const BlobRef& blob : state.Blobs()) {
      FW_RETURN_IF_ERROR(CheckBlob(blobs, record, "downlink", blob.sha256));
    }
  }
  FW_ASSIGN_OR_RETURN(broadcast_, OpenBroadcast(blobs, std::move(state)));
  const uint64_t wanted = setup_->header.manifest.TotalBytes();
  if (broadcast_->state.model.size == wanted) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "job ", setup_->id, ": broadcast model ", DigestHex(broadcast_->state.model.sha256), " has ",
      broadcast_->state.model.size, " bytes; the bundle's manifest says ", wanted));
}

absl::Status JobDriver::LoadPlugins(const std::optional<RoundCommitted>& commit) {
  const JobRecord record = status_->record();
  BlobStore* const blobs = context_->deps.blobs;
  FW_ASSIGN_OR_RETURN(strategy_, context_->deps.plugins.MakeStrategy(setup_->spec.strategy));
  FW_ASSIGN_OR_RETURN(selector_, context_->deps.plugins.MakeSelector(setup_->spec.selector));
  strategy_state_ = strategy_->SaveState();
  selector_state_ = selector_->SaveState();
  if (!commit) return absl::OkStatus();
  strategy_blob_ = commit->strategy_state;
  selector_blob_ = commit->selector_state;
  if (strategy_blob_ != Digest{}) {
    FW_RETURN_IF_ERROR(CheckBlob(blobs, record, "strategy state", strategy_blob_));
    FW_ASSIGN_OR_RETURN(strategy_state_, ReadState(blobs, strategy_blob_));
    FW_RETURN_IF_ERROR(strategy_->LoadState(strategy_state_));
  }
  if (selector_blob_ != Digest{}) {
    FW_RETURN_IF_ERROR(CheckBlob(blobs, record, "selector state", selector_blob_));
    FW_ASSIGN_OR_RETURN(selector_state_, ReadState(blobs, selector_blob_));
    FW_RETURN_IF_ERROR(selector_->LoadState(selector_state_));
  }
  return absl::OkStatus();
}

void JobDriver::Replay(const AttemptBegan& record) {
  attempt_ = std::make_unique<Attempt>(record.key, record.limits);
  attempt_->began_ms = record.now_ms;
}

void JobDriver::Replay(const ClientsAssigned& record) {
  if (!InAttempt(record.key)) return;
  attempt_->round.Step(ClientsSelected{record.now_ms, record.clients});
  attempt_->inclusion = record.inclusion;
  attempt_->device_classes = record.device_classes;
  attempt_->selector_state = record.selector_state;
  ReplayUploads(record);
  MakeFacts(record.clients, attempt_->round.deadline_ms());
  attempt_->round.Step(AssignmentsDurable{record.now_ms});
  attempt_->assigned = true;
}

void JobDriver::ReplayUploads(const ClientsAssigned& record) {
  if (record.key.evaluation) return;
  for (size_t i = 0; i < record.clients.size(); ++i) {
    ChosenCodec upload;
    const std::string& text = i < record.codecs.size() ? record.codecs[i] : setup_->spec.codec.up;
    if (i < record.codec_reasons.size()) upload.reason = record.codec_reasons[i];
    auto codec = setup_->FindUploadCodec(text);
    if (!codec.ok()) {
      attempt_->unknown_codec =
          Annotate(codec.status(), absl::StrCat("assignment ", MakeAssignmentId(record.key, i)));
    }
    upload.codec = codec.ok() ? *std::move(codec) : setup_->upload_codecs.front();
    attempt_->uploads.push_back(std::move(upload));
  }
}

void JobDriver::Replay(const ReportAccepted& record) {
  if (!InAttempt(record.key) || record.index >= attempt_->accepted.size()) return;
  if (!record.key.evaluation) {
    // Bytes were in memory, or in a file that is not synced. Without them the report is as good as
    // never made: its client still has the update and hears that it is wanted.
    const std::string id = MakeAssignmentId(record.key, record.index);
    if (!context_->deps.spool->Read(id, record.report.update.sha256).ok()) {
      attempt_->sent_again[record.index] = record.report;
      return;
    }
  }
  attempt_->round.Step(
      ReportArrived{record.now_ms, record.index, record.report.weight,
                    BlobRef{record.report.update.sha256, record.report.update.size}});
  if (attempt_->round.slot(record.index) != Round::Slot::kReported) return;
  attempt_->accepted[record.index] = AcceptedReport{record.report, record.clip_factor, true};
  ++attempt_->durable;
}

void JobDriver::Replay(const ReportRefused& record) {
  if (!InAttempt(record.key)) return;
  // Late ones too: without its deadline the replayed round would take them.
  attempt_->round.Step(ClientFailed{record.now_ms, record.index, record.reason});
  if (!record.failed) ++attempt_->late;
  if (record.report) attempt_->wasted.AddWasted(*record.report);
}

// Maybe of an attempt that was not assigned yet: it begins anew under the same key.
void JobDriver::Replay(const CoordinatorSpent& record) { own_before_ = record; }

void JobDriver::Replay(const AttemptAbandoned& record) {
  if (InAttempt(record.key)) attempt_.reset();
  // A clock that jumped must not keep the job waiting for longer than its own back-off.
  retry_at_ms_ =
      std::min(record.retry_at_ms, NowMs() + setup_->Limits(record.key.evaluation).backoff_max_ms);
  if (!record.key.evaluation) {
    next_attempt_ = record.key.attempt + 1;
    if (record.give_up) failure_ = record.reason;
    return;
  }
  next_evaluation_attempt_ = record.key.attempt + 1;
  if (record.give_up && open_round_ && record.key.round == rounds_done_) {
    open_round_->reason = absl::StrCat("not evaluated: ", record.reason);
    CloseRound();
  }
}

void JobDriver::Replay(const RoundCommitted& record) {
  if (InAttempt(record.key)) attempt_.reset();
  if (record.key.evaluation && record.key.round == rounds_done_) best_ = record.best;
}

bool JobDriver::WantsSpool(const std::string& assignment_id) const {
  const auto name = ParseAssignmentName(assignment_id);
  if (!name || !InAttempt(name->key) || name->index >= attempt_->accepted.size()) return false;
  const Round::Slot slot = attempt_->round.slot(name->index);
  return slot == Round::Slot::kWorking || slot == Round::Slot::kReported;
}

}  // namespace fedwatt
