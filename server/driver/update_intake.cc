#include "server/driver/update_intake.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "server/driver/blocking_write.h"
#include "server/driver/update_check.h"
#include "server/store/pseudonym.h"

namespace fedwatt {
namespace {

// Calls back in any case: a reply that was dropped in a shutdown would hang its stream.
ReplyDone Guarded(ReplyDone done) {
  class Guard {
   public:
    explicit Guard(ReplyDone done) : done_(std::move(done)) {}
    ~Guard() {
      if (done_) done_(absl::UnavailableError("the coordinator is shutting down; try again soon"));
    }
    void Run(absl::StatusOr<ReportReply> reply) { std::exchange(done_, nullptr)(std::move(reply)); }

   private:
    ReplyDone done_;
  };
  return [guard = std::make_unique<Guard>(std::move(done))](absl::StatusOr<ReportReply> reply) {
    guard->Run(std::move(reply));
  };
}

ReportReply Unknown(const std::string& assignment_id) {
  return {.accepted = false,
          .outcome = Outcome::kUnknown,
          .reason = absl::StrCat("no assignment \"", assignment_id, "\" of yours")};
}

ReportReply Reply(bool accepted, Outcome outcome, const std::string& reason) {
  return {.accepted = accepted, .outcome = outcome, .reason = reason};
}

ReportReply OfClosedSlot(const SlotView& slot) {
  const bool counted = slot.state == SlotState::kReported;
  if (slot.state == SlotState::kFailed || slot.state == SlotState::kRefused) {
    return Reply(false, Outcome::kRefused, slot.reason);
  }
  if (slot.ended == Outcome::kAbandoned) {
    return Reply(counted, Outcome::kAbandoned, slot.ended_reason);
  }
  if (counted) return Reply(true, Outcome::kCommitted, "");
  return Reply(false, Outcome::kRefused,
               absl::StrCat("late: ", slot.facts->key.ToString(), " is over"));
}

ReportReply OfRecord(const AssignmentRecord& record) {
  switch (record.state) {
    case AssignmentState::kCommitted:
      return Reply(true, Outcome::kCommitted, "");
    case AssignmentState::kReported:
      return Reply(true, Outcome::kPending, "");
    case AssignmentState::kAbandoned:
      return Reply(false, Outcome::kAbandoned, record.reason);
    case AssignmentState::kAssigned:
    case AssignmentState::kRefused:
      break;
  }
  return Reply(false, Outcome::kRefused,
               record.reason.empty() ? "late: the attempt is over" : record.reason);
}

absl::Status CheckHash(const Report& report, const SpooledUpdate& update) {
  const Digest found = Sha256Of(update.bytes());
  if (found == report.update.sha256) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the update of ", report.assignment_id, " has SHA-256 ",
                                          DigestHex(found), " and was declared as ",
                                          DigestHex(report.update.sha256), "; send it again"));
}

}  // namespace

std::string PseudonymOf(const DriverContext& context, const Principal& who,
                        const std::string& population) {
  // A certificate for evaluating is another identity than one of the same name for training.
  const std::string subject =
      who.role == Role::kEvaluator ? absl::StrCat("evaluator/", who.subject) : who.subject;
  return Pseudonym(context.options.population_key, who.tenant, population, subject);
}

// Appends to the spool as the bytes come; the rest happens when all are there.
class UpdateIntake::Session final : public UploadSession {
 public:
  Session(const DriverContext* context, Owned owned, Report report,
          std::unique_ptr<SpoolUpload> upload)
      : context_(context),
        owned_(std::move(owned)),
        report_(std::move(report)),
        upload_(std::move(upload)) {}

  uint64_t offset() const override { return upload_->offset(); }

  absl::Status Append(uint64_t offset, std::span<const uint8_t> data) override {
    return upload_->Append(offset, data);
  }

  void Finish(ReplyDone done) override {
    context_->work->Post([context = context_, owned = std::move(owned_),
                          report = std::move(report_), upload = std::move(upload_),
                          done = Guarded(std::move(done))]() mutable {
      Check(*context, owned, std::move(report), {nullptr, std::move(upload)}, std::move(done));
    });
  }

 private:
  const DriverContext* const context_;
  Owned owned_;
  Report report_;
  std::unique_ptr<SpoolUpload> upload_;
};

bool UpdateIntake::Owned::open() const {
  return slot && !slot->ended && slot->state != SlotState::kFailed &&
         slot->state != SlotState::kRefused;
}

std::optional<UpdateIntake::Owned> UpdateIntake::FindOwned(const Principal& who,
                                                           const std::string& assignment_id) const {
  auto name = ParseAssignmentName(assignment_id);
  if (!name) return std::nullopt;
  Owned owned;
  owned.name = std::move(*name);
  owned.driver = find_driver_(owned.name.key.job);
  if (owned.driver == nullptr) return std::nullopt;
  const JobSpec& spec = owned.driver->setup()->spec;
  if (spec.tenant != who.tenant) return std::nullopt;
  owned.client = PseudonymOf(*context_, who, spec.population);
  owned.slot = context_->board->Find(owned.name);
  if (owned.slot && owned.slot->facts->clients[owned.slot->index] != owned.client) {
    return std::nullopt;
  }
  return owned;
}

std::optional<absl::StatusOr<ReportReply>> UpdateIntake::Known(const Owned& owned,
                                                               const Report& report) const {
  const bool same = owned.slot->update == report.update.sha256;
  if (owned.slot->state == SlotState::kReported) {
    if (same) return Reply(true, Outcome::kPending, "");
    return Reply(false, Outcome::kPending,
                 "duplicate: this assignment's first report was accepted");
  }
  if (owned.slot->state == SlotState::kVerifying && !same) {
    return absl::AbortedError("another report of this assignment is being checked; ask again");
  }
  return std::nullopt;
}

void UpdateIntake::SubmitReport(const Principal& who, Report report, ReplyDone done) {
  done = Guarded(std::move(done));
  std::optional<Owned> owned = FindOwned(who, report.assignment_id);
  if (!owned) return done(Unknown(report.assignment_id));
  if (!owned->open()) {
    context_->work->Post([this, owned = *std::move(owned), report = std::move(report),
                          done = std::move(done)]() mutable {
      AnswerClosed(owned, std::move(report), std::move(done));
    });
    return;
  }
  if (auto known = Known(*owned, report)) {
    if (!known->ok() || !(*known)->accepted) return done(*std::move(known));
    return BookRepeat(*owned, std::move(report), **std::move(known), std::move(done));
  }
  if (report.status != ReportStatus::kOk) {
    return HandOver(*owned, std::move(report), nullptr, CheckedUpdate(), std::move(done));
  }
  const SlotView& slot = *owned->slot;
  if (absl::Status checked = CheckReport(*slot.facts, slot.index, report); !checked.ok()) {
    return HandOver(*owned, std::move(report), nullptr, std::move(checked), std::move(done));
  }
  if (owned->name.key.evaluation) {
    return HandOver(*owned, std::move(report), nullptr, CheckedUpdate(), std::move(done));
  }
  const Resource& update = report.update;
  if (update.inline_data.size() != update.size) {
    return done(absl::InvalidArgumentError(
        absl::StrCat("the report carries ", update.inline_data.size(), " of ", update.size,
                     " bytes; upload what does not fit inline")));
  }
  // Here, not on the queue: what waits there is within the spool's bounds already.
  auto arrived = TakeInline(&report);
  if (!arrived.ok()) return done(arrived.status());
  context_->work->Post([context = context_, owned = *std::move(owned), report = std::move(report),
                        arrived = *std::move(arrived), done = std::move(done)]() mutable {
    Check(*context, owned, std::move(report), std::move(arrived), std::move(done));
  });
}

absl::StatusOr<UpdateIntake::Arrived> UpdateIntake::TakeInline(Report* report) const {
  std::string bytes = std::move(report->update.inline_data);
  report->update.inline_data.clear();
  Arrived arrived;
  arrived.held = context_->deps.spool->Hold(&bytes);
  if (arrived.held != nullptr) return arrived;
  FW_ASSIGN_OR_RETURN(arrived.upload, OpenSpool(*report, 0));
  FW_RETURN_IF_ERROR(arrived.upload->Append(0, AsBytes(bytes)));
  return arrived;
}

absl::StatusOr<std::unique_ptr<SpoolUpload>> UpdateIntake::OpenSpool(const Report& report,
                                                                     uint64_t offset) const {
  Spool* const spool = context_->deps.spool;
  const std::string& id = report.assignment_id;
  const Resource& update = report.update;
  if (offset == 0 && spool->Offset(id, update.sha256) > 0) spool->Remove(id);
  FW_ASSIGN_OR_RETURN(std::unique_ptr<SpoolUpload> upload,
                      spool->Open(id, update.sha256, update.size));
  if (upload->offset() == offset) return upload;
  return absl::OutOfRangeError(absl::StrCat("the upload goes on at byte ", offset, "; ",
                                            upload->offset(), " of ", update.size,
                                            " are here; ask for the upload's status first"));
}

absl::StatusOr<Coordinator::UploadStart> UpdateIntake::StartUpload(const Principal& who,
                                                                   Report report, uint64_t offset) {
  Coordinator::UploadStart start;
  std::optional<Owned> owned = FindOwned(who, report.assignment_id);
  if (!owned) {
    start.refused = Unknown(report.assignment_id);
    return start;
  }
  if (!owned->open()) {
    FW_RETURN_IF_ERROR(WaitFor([&](absl::AnyInvocable<void(absl::Status)> waiter) {
      AnswerClosed(*owned, std::move(report),
                   [&start, waiter = std::move(waiter)](absl::StatusOr<ReportReply> reply) mutable {
                     if (reply.ok()) start.refused = *reply;
                     waiter(reply.status());
                   });
    }));
    return start;
  }
  if (auto known = Known(*owned, report)) {
    FW_RETURN_IF_ERROR(known->status());
    start.refused = **known;
    if (!start.refused->accepted) return start;
    FW_RETURN_IF_ERROR(WaitFor([&](absl::AnyInvocable<void(absl::Status)> waiter) {
      BookRepeat(*owned, std::move(report), *start.refused,
                 [waiter = std::move(waiter)](const absl::StatusOr<ReportReply>& reply) mutable {
                   waiter(reply.status());
                 });
    }));
    return start;
  }
  const SlotView& slot = *owned->slot;
  if (const absl::Status verdict = CheckReport(*slot.facts, slot.index, report); !verdict.ok()) {
    FW_ASSIGN_OR_RETURN(start.refused, RefuseNow(*owned, std::move(report), verdict));
    return start;
  }
  if (slot.state == SlotState::kVerifying && offset == 0) {
    // Starting afresh would take the file away from under the check.
    return absl::AbortedError("this update is being checked; ask again");
  }
  FW_ASSIGN_OR_RETURN(std::unique_ptr<SpoolUpload> upload, OpenSpool(report, offset));
  start.session =
      std::make_unique<Session>(context_, *std::move(owned), std::move(report), std::move(upload));
  return start;
}

// The store learns of it here, the round behind our back: the answer must not wait for the job.
absl::StatusOr<ReportReply> UpdateIntake::RefuseNow(const Owned& owned, Report report,
                                                    const absl::Status& verdict) const {
  const std::string reason = absl::StrCat("invalid: ", std::string(verdict.message()));
  FW_RETURN_IF_ERROR(WriteAndWait(
      context_->deps.store, {AppendLog{ReportRefused{owned.name.key, owned.name.index, true, reason,
                                                     report, context_->deps.clock->NowMs()}}}));
  HandOver(owned, std::move(report), nullptr, verdict, [](const absl::StatusOr<ReportReply>&) {});
  return Reply(false, Outcome::kRefused, reason);
}

absl::StatusOr<UploadOffset> UpdateIntake::UploadStatus(const Principal& who,
                                                        const std::string& assignment_id,
                                                        const Digest& sha256) const {
  const std::optional<Owned> owned = FindOwned(who, assignment_id);
  if (!owned || !owned->slot) {
    return absl::NotFoundError(
        absl::StrCat("no assignment \"", assignment_id, "\" of yours is in flight"));
  }
  UploadOffset status;
  status.offset = context_->deps.spool->Offset(assignment_id, sha256);
  status.complete = owned->slot->update == sha256 && (owned->slot->state == SlotState::kReported ||
                                                      owned->slot->state == SlotState::kVerifying);
  return status;
}

void UpdateIntake::AnswerClosed(const Owned& owned, Report report, ReplyDone done) const {
  ReportReply reply;
  bool failed = false;
  if (owned.slot) {
    reply = OfClosedSlot(*owned.slot);
    failed = owned.slot->state == SlotState::kFailed;
  } else {
    const auto record = context_->deps.store->FindAssignment(report.assignment_id);
    if (!record.ok()) return done(record.status());
    if (!*record || (*record)->client != owned.client) {
      return done(Unknown(report.assignment_id));
    }
    reply = OfRecord(**record);
  }
  const bool booked = reply.outcome == Outcome::kCommitted || reply.outcome == Outcome::kPending;
  if (booked) return BookRepeat(owned, std::move(report), std::move(reply), std::move(done));
  Book(owned, std::move(report), failed, std::move(reply), std::move(done));
}

void UpdateIntake::Book(const Owned& owned, Report report, bool failed, ReportReply reply,
                        ReplyDone done) const {
  report.update.inline_data.clear();
  report.metrics = UsableMetrics(report.metrics);
  const int64_t now_ms = context_->deps.clock->NowMs();
  ReportRefused record{owned.name.key, owned.name.index, failed, reply.reason, report, now_ms};
  context_->deps.store->Write(
      {AppendLog{std::move(record)}},
      [driver = std::weak_ptr(owned.driver), name = owned.name, report = std::move(report), failed,
       board = context_->board, now_ms, reply = std::move(reply),
       done = std::move(done)](absl::Status written) mutable {
        if (!written.ok()) return done(written);
        board->SetSlot(name.key, name.index, failed ? SlotState::kFailed : SlotState::kRefused,
                       reply.reason, Digest{});
        if (const auto job = driver.lock()) {
          job->OnLateReport(std::move(name), std::move(report), now_ms);
        }
        done(std::move(reply));
      });
}

void UpdateIntake::BookRepeat(const Owned& owned, Report report, ReportReply reply,
                              ReplyDone done) const {
  report.update.inline_data.clear();
  report.metrics = UsableMetrics(report.metrics);
  ReportRefused record{owned.name.key, owned.name.index,  false,
                       "repeated",     std::move(report), context_->deps.clock->NowMs()};
  context_->deps.store->Write({AppendLog{std::move(record)}},
                              [driver = std::weak_ptr(owned.driver), reply = std::move(reply),
                               done = std::move(done)](absl::Status written) mutable {
                                if (!written.ok()) return done(written);
                                if (const auto job = driver.lock()) job->OnRepeatedReport();
                                done(std::move(reply));
                              });
}

void UpdateIntake::Check(const DriverContext& context, const Owned& owned, Report report,
                         Arrived arrived, ReplyDone done) {
  if (!context.board->BeginVerifying(owned.name, report.update.sha256)) {
    return done(absl::AbortedError("another report of this assignment came first; ask again"));
  }
  const auto validate = [&]() -> absl::StatusOr<CheckedUpdate> {
    std::shared_ptr<const SpooledUpdate> update = arrived.held;
    if (update == nullptr) {
      FW_ASSIGN_OR_RETURN(update,
                          context.deps.spool->Read(report.assignment_id, report.update.sha256));
    }
    const AttemptFacts& facts = *owned.slot->facts;
    return ValidateUpdate(*facts.setup, *facts.uploads[owned.name.index].codec, *update);
  };
  const absl::Status whole =
      arrived.held != nullptr ? CheckHash(report, *arrived.held) : arrived.upload->Finish();
  absl::StatusOr<CheckedUpdate> checked = whole.ok() ? validate() : whole;
  const bool content_is_bad = whole.ok() && absl::IsInvalidArgument(checked.status());
  if (!checked.ok() && !content_is_bad) {
    // Of the transport or the disk, not of the client's work: it may send the same again.
    context.board->StopVerifying(owned.name);
    return done(checked.status());
  }
  HandOver(owned, std::move(report), std::move(arrived.held), std::move(checked), std::move(done));
}

void UpdateIntake::HandOver(const Owned& owned, Report report,
                            std::shared_ptr<const SpooledUpdate> held,
                            absl::StatusOr<CheckedUpdate> checked, ReplyDone done) {
  IncomingReport incoming;
  incoming.name = owned.name;
  incoming.report = std::move(report);
  incoming.report.update.inline_data.clear();
  incoming.report.metrics = UsableMetrics(incoming.report.metrics);
  incoming.held = std::move(held);
  incoming.verdict = checked.status();
  if (checked.ok()) {
    incoming.clip_factor = checked->clip_factor;
    incoming.sketch = std::move(checked->sketch);
  }
  incoming.done = std::move(done);
  owned.driver->OnReport(std::move(incoming));
}

}  // namespace fedwatt
