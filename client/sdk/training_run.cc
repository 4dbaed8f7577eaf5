#include "client/sdk/training_run.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/sdk/energy_log.h"
#include "client/sdk/report_checks.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/crypto/sha256.h"
#include "common/wire/stored_wire.h"

namespace fedwatt {
namespace {

absl::Status SyncPath(const std::string& path) {
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Open(path));
  FW_RETURN_IF_ERROR(file.Sync());
  return file.Close();
}

// What the call costs, in windows from checkpoint to checkpoint. One thread at a time.
class Account {
 public:
  explicit Account(TrainingRun& run)
      : run_(run),
        train_(run.request.kind == AssignmentKind::kTrain),
        name_(train_ ? "train" : "evaluate"),
        begin_us_(run.clock->MonotonicUs()),
        window_(run.meter, run.clock) {
    const auto& seconds = run.record.report.metrics.seconds_by_phase;
    const auto earlier = seconds.find(name_);
    if (earlier != seconds.end()) earlier_s_ = earlier->second;
    Begin();
  }

  void OnProgress(const TrainProgress& at) {
    if (at.steps_done > 0 && !stepped_) {
      stepped_ = true;
      // The first step that is told of is of a checkpoint that this call did not write.
      resumed_ = at.steps_saved > 0 && saved_ == 0;
      if (resumed_) saved_ = at.steps_saved;
    }
    if (at.steps_saved <= saved_) return;
    saved_ = at.steps_saved;
    Book();
    // What cannot be written now is with the next entry.
    (void)run_.store.PutProgress(run_.record);
    Begin();
  }

  // Into the record's energy and seconds.
  void Book() {
    const EnergySample sample = window_.End(0);
    AddEnergySample(sample, &run_.record.report.energy);
    AddEnergySample(sample, &parts_);
    seconds_ += static_cast<double>(sample.duration_us) * 1e-6;
    run_.record.report.metrics.seconds_by_phase[name_] = earlier_s_ + seconds_;
  }

  // Of the trainer's own figures, where it has any; those of earlier calls come on top.
  absl::Status Take(const TrainResult& result) {
    std::map<std::string, double>& noted = run_.record.report.metrics.seconds_by_phase;
    noted.erase(name_);
    UpdateMetrics metrics = result.metrics;
    metrics.bytes_down = run_.record.report.metrics.bytes_down;
    metrics.bytes_up = run_.record.report.metrics.bytes_up;
    metrics.seconds_by_phase.emplace(name_, seconds_);
    metrics.seconds_by_phase[name_] += earlier_s_;
    for (const auto& [phase, value] : noted) metrics.seconds_by_phase[phase] = value;
    MakeReportable(&metrics);
    run_.record.report.metrics = std::move(metrics);
    run_.record.report.weight = ReportedWeight(run_.record.assignment, result.weight);
    if (run_.record.report.weight > 0) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("the dataset ", run_.record.assignment.dataset.name, " gave no examples"));
  }

  EnergySample sample() const { return parts_.front(); }
  int64_t duration_us() const { return run_.clock->MonotonicUs() - begin_us_; }
  bool resumed() const { return resumed_; }

 private:
  void Begin() { window_.Begin(train_ ? Phase::kTrain : Phase::kEvaluate); }

  TrainingRun& run_;
  const bool train_;
  const char* const name_;
  const int64_t begin_us_;
  PhaseMeter window_;
  std::vector<EnergySample> parts_;
  double earlier_s_ = 0;  // of calls before this one
  double seconds_ = 0;
  bool stepped_ = false;
  bool resumed_ = false;
  uint64_t saved_ = 0;  // steps in the newest checkpoint
};

}  // namespace

TrainingOutcome RunTraining(TrainingRun run) {
  const bool train = run.request.kind == AssignmentKind::kTrain;
  Account account(run);
  const absl::StatusOr<TrainResult> result =
      run.trainer->Run(run.request, *run.cancel, [&](const TrainProgress& at) {
        account.OnProgress(at);
        run.progress(at);
      });
  account.Book();
  run.record.training = false;
  TrainingOutcome outcome;
  outcome.sample = account.sample();
  outcome.duration_us = account.duration_us();
  outcome.resumed = account.resumed();
  outcome.status = result.status();
  if (result.ok()) outcome.status = account.Take(*result);
  if (outcome.status.ok() && train && run.store.sync()) {
    outcome.status = SyncPath(run.request.output_path);
  }
  if (outcome.status.ok()) {
    run.record.stage = train ? WorkStage::kTrained : WorkStage::kReady;
    run.record.delta_bytes = result->output_bytes;
  }
  // Also after an error: the energy was spent.
  outcome.journal = run.store.PutProgress(run.record);
  if (outcome.status.ok() && outcome.journal.ok()) {
    // One that stays is removed with the assignment.
    (void)RemoveIfExists(run.request.checkpoint_path);
  }
  outcome.record = std::move(run.record);
  return outcome;
}

Digest CheckpointIdentity(const Assignment& assignment) {
  Assignment work;
  work.id = assignment.id;
  work.key = assignment.key;
  work.kind = assignment.kind;
  work.plan = assignment.plan;
  work.trainer = assignment.trainer;
  work.dataset = assignment.dataset;
  return Sha256Of(
      AsBytes(absl::StrCat(wire::AssignmentToBytes(work), "\n", DigestHex(assignment.bundle.sha256),
                           "\n", DigestHex(assignment.model.sha256))));
}

}  // namespace fedwatt
