#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/error_feedback.h"
#include "client/sdk/report_checks.h"
#include "client/sdk/session_core.h"
#include "common/base/bounds.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

constexpr int64_t kResendMs = 1000;

bool TravelsInline(const KeptAssignment& record) {
  const uint64_t asked = record.assignment.max_inline_bytes;
  const uint64_t limit = asked == 0 ? bounds::kMaxInlineBytes : asked;
  return record.report.update.size <= limit;
}

}  // namespace

Report SessionCore::MakeReport(const Held& held, uint64_t offset) const {
  Report report = held.record.report;
  const uint64_t to_go = report.update.size - offset;
  if (to_go > 0) {
    report.metrics.bytes_up += to_go;
    AddEnergySample(upload_estimate_.Estimate(to_go), &report.energy);
  }
  if (options_.telemetry_level == 0) DropTotals(held.record.assignment.kind, &report);
  return report;
}

void SessionCore::Send(Held* held) {
  Report& kept = held->record.report;
  const std::string path = store_.UpdatePath(active_);
  if (kept.update.size > 0 && !held->update_trusted) {
    RunWork<absl::Status>(
        [path, sha256 = kept.update.sha256] { return BlobCache::Verify(path, sha256); },
        &SessionCore::OnUpdateChecked);
    return;
  }
  if (!TravelsInline(held->record)) {
    held->update = std::string();
    deps_.transport->UploadStatus(active_, kept.update.sha256, Reply(&SessionCore::OnUploadOffset));
    return;
  }
  Report report = MakeReport(*held, 0);
  // From memory only once: if it has to be sent again, that may be much later.
  report.update.inline_data = std::exchange(held->update, std::string());
  if (report.update.inline_data.size() != report.update.size) {
    absl::StatusOr<std::string> bytes = ReadFile(path, report.update.size);
    if (!bytes.ok()) {
      return FailAndGoOn(held, ReportStatus::kFailed,
                         StatusText(Annotate(bytes.status(), "the kept update")));
    }
    report.update.inline_data = *std::move(bytes);
  }
  sending_bytes_ = report.update.size;
  BeginTransfer(Phase::kUpload);
  deps_.transport->SubmitReport(report, Reply(&SessionCore::OnReport));
}

void SessionCore::OnUpdateChecked(absl::Status status) {
  working_ = false;
  Held* const held = Active();
  if (stopping_ || held == nullptr) return Next();
  if (!status.ok()) {
    return FailAndGoOn(held, ReportStatus::kFailed,
                       StatusText(Annotate(status, "the kept update is damaged")));
  }
  held->update_trusted = true;
  Next();
}

void SessionCore::OnUploadOffset(absl::StatusOr<UploadOffset> offset) {
  Held* const held = Active();
  if (held == nullptr) return Next();
  if (!offset.ok()) return SendFailed(held, offset.status());
  Report& kept = held->record.report;
  const uint64_t size = kept.update.size;
  // An offset beyond the end can only be of other bytes: start over.
  const uint64_t from = offset->complete ? size : offset->offset > size ? 0 : offset->offset;
  if (from > kept.metrics.bytes_up) {
    CountUnmetered(Phase::kUpload, from - kept.metrics.bytes_up, &kept);
    Save(*held);
  }
  SessionEvent event{SessionEventKind::kUploading};
  event.assignment_id = active_;
  event.bytes = from;
  event.total_bytes = size;
  Emit(event);
  BeginTransfer(Phase::kUpload);
  deps_.transport->Upload(MakeReport(*held, from), from, store_.UpdatePath(active_),
                          Reply(&SessionCore::OnUpload));
}

void SessionCore::OnUpload(ClientTransport::UploadResult result) {
  if (result.sent > 0) backoff_.Reset();
  Sent(result.sent, std::move(result.reply));
}

void SessionCore::OnReport(absl::StatusOr<ReportReply> reply) {
  const uint64_t sent = reply.ok() ? sending_bytes_ : 0;
  Sent(sent, std::move(reply));
}

void SessionCore::Sent(uint64_t bytes, absl::StatusOr<ReportReply> reply) {
  const EnergySample sample = EndTransfer(bytes, reply.ok());
  Held* const held = Active();
  if (held == nullptr) return Next();
  Report& kept = held->record.report;
  if (bytes > 0) {
    upload_estimate_.Learn(sample);
    // For the case that it has to be sent again.
    AddEnergySample(sample, &kept.energy);
    kept.metrics.bytes_up += bytes;
    kept.metrics.seconds_by_phase["upload"] += static_cast<double>(sample.duration_us) * 1e-6;
  }
  if (!reply.ok()) return SendFailed(held, reply.status());
  backoff_.Reset();
  held->failures = 0;
  if (reply->outcome == Outcome::kPending && reply->accepted) {
    EmitFor(SessionEventKind::kReported, *held, OutcomeName(reply->outcome));
    if (kept.status == ReportStatus::kOk) {
      held->record.stage = WorkStage::kReported;
      Save(*held);
    } else {
      // Nothing of it can be asked for again.
      ApplyOutcome(held, Outcome::kRefused, "the failure was reported");
    }
    return Next();
  }
  const bool final = reply->outcome != Outcome::kPending && reply->outcome != Outcome::kWanted;
  if (final) {
    EmitFor(SessionEventKind::kReported, *held, OutcomeName(reply->outcome));
    ApplyOutcome(held, reply->outcome, reply->reason);
    return Next();
  }
  Save(*held);
  SessionEvent wait{SessionEventKind::kWaiting};
  wait.assignment_id = active_;
  wait.text = reply->reason.empty() ? "the coordinator wants it again" : reply->reason;
  wait.delay_ms = backoff_.Spread(reply->retry_after_ms > 0 ? reply->retry_after_ms : kResendMs);
  Wait(std::move(wait));
}

void SessionCore::SendFailed(Held* held, const absl::Status& status) {
  const absl::Status named = Annotate(status, "reporting");
  Save(*held);
  if (IsTransient(status) || IsDenied(status)) return RetryLater(named);
  if (++held->failures < kMaxFailures) return RetryLater(named);
  ApplyOutcome(held, Outcome::kRefused,
               absl::StrCat("given up after ", kMaxFailures, " tries: ", StatusText(named)));
  Next();
}

bool SessionCore::ApplyOutcome(Held* held, Outcome outcome, const std::string& reason) {
  if (outcome == Outcome::kPending) return false;
  if (outcome == Outcome::kWanted) {
    if (held->record.stage != WorkStage::kReported) return false;
    held->record.stage = WorkStage::kReady;
    Save(*held);
    return true;
  }
  const Held gone = std::move(*held);
  const std::string id = gone.record.assignment.id;
  held_.erase(id);
  if (outcome == Outcome::kCommitted) {
    const absl::Status residual =
        CommitResidual(options_.state_dir, store_.ResidualPath(id), store_.sync());
    if (!residual.ok()) EmitProblem(absl::StrCat("error feedback: ", StatusText(residual)));
  }
  const absl::Status removed = store_.Remove(id);
  if (!removed.ok()) EmitProblem(StatusText(removed));
  SessionEvent event{SessionEventKind::kResolved};
  event.assignment_id = id;
  event.outcome = outcome;
  event.text = reason;
  event.assignment = &gone.record.assignment;
  event.report = &gone.record.report;
  Emit(event);
  return true;
}

}  // namespace fedwatt
