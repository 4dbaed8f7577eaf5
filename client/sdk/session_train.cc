#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/report_checks.h"
#include "client/sdk/session_core.h"
#include "client/sdk/training_run.h"
#include "client/sdk/update_encoder.h"
#include "common/base/bounds.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/codec/matrix_shapes.h"

namespace fedwatt {
namespace {

constexpr char kDefaultCodec[] = "raw_f32";
constexpr uint64_t kSmallDeltaBytes = 64 * 1024;

// A job's own buffers of one model: another model's never fit, another job's never mix in.
std::string LocalBuffersPath(const std::string& state_dir, const std::string& job,
                             const Digest& bundle) {
  const std::string name = Sha256Hex(AsBytes(absl::StrCat(job, "\n", DigestHex(bundle))));
  return absl::StrCat(state_dir, "/local-buffers-", name.substr(0, 32));
}

absl::StatusOr<std::unique_ptr<Codec>> CodecOf(const Assignment& assignment) {
  return MakeCodec(assignment.codec.empty() ? std::string(kDefaultCodec) : assignment.codec);
}

struct EncodeWork {
  AssignmentStore store;
  std::string state_dir;
  std::string client_id;
  bool keeps_state;
  std::string bundle_path;
  std::shared_ptr<const Bundle> bundle;  // null: to be opened
};

struct Encoded {
  uint64_t coordinates = 0;
  std::string inline_data;
  std::string problem;
};

absl::StatusOr<Encoded> EncodeInto(EncodeWork work, KeptAssignment* record) {
  const Assignment& assignment = record->assignment;
  const AssignmentStore& store = work.store;
  std::shared_ptr<const Bundle> bundle = std::move(work.bundle);
  if (bundle == nullptr) {
    FW_ASSIGN_OR_RETURN(bundle, Bundle::Open(work.bundle_path));
  }
  EncodeRequest request;
  request.manifest = &bundle->header().manifest;
  FW_ASSIGN_OR_RETURN(request.layout, MakeUpdateLayout(*request.manifest, assignment.plan.frozen,
                                                       assignment.plan.buffers));
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Codec> codec, CodecOf(assignment));
  request.delta_path = store.DeltaPath(assignment.id);
  request.update_path = store.UpdatePath(assignment.id);
  const std::vector<MatrixShape> matrices = MatricesOf(*request.manifest, request.layout);
  request.context.job = assignment.key.job;
  request.context.round = assignment.key.round;
  request.context.client = work.client_id;
  request.context.seed = assignment.plan.seed;
  request.context.matrices = matrices;
  request.max_abs_delta = assignment.max_abs_delta;
  request.max_bytes = assignment.max_upload_bytes;
  request.sync = store.sync();
  if (work.keeps_state && codec->needs_error_feedback()) {
    const ResidualKey key{assignment.key.job, bundle->header_sha256(), request.layout.coordinates};
    request.feedback = {key, ResidualPath(work.state_dir, key), store.ResidualPath(assignment.id),
                        store.sync()};
  }
  FW_ASSIGN_OR_RETURN(EncodedUpdate update, EncodeKeptUpdate(request, *codec));
  record->report.update.sha256 = update.sha256;
  record->report.update.size = update.bytes;
  record->stage = WorkStage::kReady;
  return Encoded{request.layout.coordinates, std::move(update.inline_data),
                 std::move(update.problem)};
}

}  // namespace

std::function<void(const TrainProgress&)> SessionCore::ProgressSink(
    const std::string& assignment_id) {
  if (deps_.observer == nullptr) return [](const TrainProgress&) {};
  struct Latest {
    Mutex mutex;
    TrainProgress progress ABSL_GUARDED_BY(mutex);
    bool posted ABSL_GUARDED_BY(mutex) = false;
  };
  // A trainer may report thousands of steps a second: at most one report waits, the newest.
  return [weak = weak_from_this(), executor = deps_.executor, assignment_id,
          latest = std::make_shared<Latest>()](const TrainProgress& progress) {
    if (progress.steps_done == progress.steps_total) return;  // the end says it, too
    {
      MutexLock lock(&latest->mutex);
      latest->progress = progress;
      if (std::exchange(latest->posted, true)) return;
    }
    executor->Post([weak, assignment_id, latest] {
      TrainProgress newest;
      {
        MutexLock lock(&latest->mutex);
        latest->posted = false;
        newest = latest->progress;
      }
      const std::shared_ptr<SessionCore> core = weak.lock();
      if (core != nullptr) core->deps_.observer->OnProgress(assignment_id, newest);
    });
  };
}

absl::Status SessionCore::CheckCodec(const Assignment& assignment) const {
  if (assignment.kind != AssignmentKind::kTrain) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Codec> codec, CodecOf(assignment));
  return CheckStateful(*codec, options_.keeps_state);
}

void SessionCore::Train(Held* held) {
  const Assignment& assignment = held->record.assignment;
  // A device may have slept since this was looked at; a request takes 0 for "no limit".
  const int64_t time_left_ms = TimeLeftMs(assignment, ElapsedMs(*held));
  if (time_left_ms <= 0) return FailAndGoOn(held, ReportStatus::kCancelled, kTooLate);
  // Durable before anything of a stranger's runs: see plan_quarantine.h.
  held->record.training = true;
  const absl::Status noted = store_.PutProgress(held->record);
  if (!noted.ok()) {
    held->record.training = false;
    return FailAndGoOn(held, ReportStatus::kFailed,
                       absl::StrCat("cannot note that the work begins: ", StatusText(noted)));
  }
  EmitFor(SessionEventKind::kTraining, *held, held->bundle->header().name);
  TrainRequest request;
  request.assignment_id = assignment.id;
  request.key = assignment.key;
  request.kind = assignment.kind;
  request.bundle = held->bundle;
  request.bundle_path = BlobPath(*held, kBundle);
  request.bundle_header_sha256 = held->bundle->header_sha256();
  request.model_path = BlobPath(*held, kModel);
  request.output_path = store_.DeltaPath(assignment.id);
  if (assignment.plan.buffers == BufferMode::kLocal) {
    request.local_buffers_path =
        LocalBuffersPath(options_.state_dir, assignment.key.job, held->bundle->header_sha256());
  }
  request.dataset = FindDataset(assignment.dataset, options_.datasets)->config;
  request.plan = assignment.plan;
  request.seed_key = options_.client_id;
  request.time_left_ms = time_left_ms;
  if (options_.checkpoint_every_ms > 0 && assignment.kind == AssignmentKind::kTrain) {
    request.checkpoint_path = store_.CheckpointPath(assignment.id);
    request.checkpoint_identity = CheckpointIdentity(assignment);
    request.checkpoint_every_ms = options_.checkpoint_every_ms;
  }
  *training_cancel_ = false;
  training_ = true;
  deps_.trainer->Expect(request);
  RunWork<Worked>(
      [run = TrainingRun{request, held->record, store_, deps_.clock, deps_.meter, deps_.trainer,
                         training_cancel_, ProgressSink(assignment.id)}]() mutable -> Worked {
        TrainingOutcome ended = RunTraining(std::move(run));
        return {.status = ended.status,
                .journal = ended.journal,
                .record = std::move(ended.record),
                .sample = ended.sample,
                .duration_us = ended.duration_us,
                .resumed = ended.resumed};
      },
      &SessionCore::OnTrained);
}

void SessionCore::OnTrained(Worked worked) {
  working_ = false;
  training_ = false;
  Held* const held = Active();
  if (held == nullptr) return Next();
  held->record = std::move(worked.record);
  if (!worked.journal.ok()) Save(*held);
  Survived(held->record.assignment);
  if (worked.status.ok()) {
    pausing_ = false;
    cancel_reason_.clear();
    if (held->record.assignment.kind == AssignmentKind::kTrain && !worked.resumed) {
      costs_.SetTraining(worked.sample, worked.duration_us);
    }
    costs_.SetLoss(held->record.report.metrics);
    EmitFor(SessionEventKind::kTrained, *held, worked.resumed ? "went on from a checkpoint" : "");
    held->update_trusted = true;
    return stopping_ || held->record.stage == WorkStage::kReady ? Next() : Encode(held);
  }
  // Stopped or cancelled by us: Next knows what that means for the assignment.
  const bool pausing = std::exchange(pausing_, false);
  if (absl::IsCancelled(worked.status) && (stopping_ || pausing || !cancel_reason_.empty())) {
    return Next();
  }
  if (stopping_) return Next();
  FailAndGoOn(held, ReportStatus::kFailed, StatusText(worked.status));
}

void SessionCore::Survived(const Assignment& assignment) {
  if (!quarantine_.Forgive(PlanKeyOf(assignment))) return;
  const absl::Status written = store_.WritePath(quarantine_.path(), quarantine_.Content());
  if (!written.ok()) EmitProblem(absl::StrCat("cannot forget deaths: ", StatusText(written)));
}

void SessionCore::Encode(Held* held) {
  EncodeWork work{store_,
                  options_.state_dir,
                  options_.client_id,
                  options_.keeps_state,
                  BlobPath(*held, kBundle),
                  held->bundle};
  auto encode = [record = held->record, work = std::move(work), store = store_, clock = deps_.clock,
                 meter = deps_.meter]() mutable -> Worked {
    PhaseMeter window(meter, clock);
    window.Begin(Phase::kEncode);
    absl::StatusOr<Encoded> encoded = EncodeInto(std::move(work), &record);
    const EnergySample sample = window.End(record.report.update.size);
    AddEnergySample(sample, &record.report.energy);
    record.report.metrics.seconds_by_phase["encode"] +=
        static_cast<double>(sample.duration_us) * 1e-6;
    absl::Status journal = store.PutProgress(record);
    Worked worked{.status = encoded.status(), .journal = journal, .sample = sample};
    if (encoded.ok()) {
      (void)RemoveIfExists(store.DeltaPath(record.assignment.id));
      worked.coordinates = encoded->coordinates;
      worked.update = std::move(encoded->inline_data);
      worked.problem = std::move(encoded->problem);
    }
    worked.record = std::move(record);
    return worked;
  };
  // Done before another thread would have begun.
  if (held->record.delta_bytes <= kSmallDeltaBytes) return OnEncoded(encode());
  RunWork<Worked>(std::move(encode), &SessionCore::OnEncoded);
}

void SessionCore::OnEncoded(Worked worked) {
  working_ = false;
  Held* const held = Active();
  if (held == nullptr) return Next();
  held->record = std::move(worked.record);
  held->update = std::move(worked.update);
  held->bundle.reset();
  if (!worked.journal.ok()) Save(*held);
  if (!worked.problem.empty()) EmitProblem(worked.problem);
  if (!worked.status.ok()) {
    return FailAndGoOn(held, ReportStatus::kFailed, StatusText(worked.status));
  }
  costs_.AddEncoding(worked.sample, worked.coordinates);
  held->update_trusted = true;
  SessionEvent event{SessionEventKind::kEncoded};
  event.assignment_id = active_;
  event.bytes = held->record.report.update.size;
  event.report = &held->record.report;
  Emit(event);
  Next();
}

void SessionCore::Fail(Held* held, ReportStatus status, const std::string& error) {
  KeptAssignment& record = held->record;
  record.stage = WorkStage::kReady;
  record.report.status = status;
  record.report.error = error.substr(0, bounds::kMaxReasonLength);
  record.report.weight = 0;
  record.report.update = {};
  MakeReportable(&record.report.metrics);
  held->bundle.reset();
  held->update.clear();
  held->update_trusted = true;
  (void)RemoveIfExists(store_.DeltaPath(record.assignment.id));
  (void)RemoveIfExists(store_.UpdatePath(record.assignment.id));
  (void)RemoveIfExists(store_.ResidualPath(record.assignment.id));
  (void)RemoveIfExists(store_.CheckpointPath(record.assignment.id));
  Save(*held);
  EmitFor(SessionEventKind::kFailed, *held, record.report.error);
}

void SessionCore::FailAndGoOn(Held* held, ReportStatus status, const std::string& error) {
  Fail(held, status, error);
  Next();
}

}  // namespace fedwatt
