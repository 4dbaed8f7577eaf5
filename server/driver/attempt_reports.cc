// Reports through the round, into the log and into the sum.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/status_util.h"
#include "server/driver/job_driver.h"
#include "server/store/client_history.h"

namespace fedwatt {
namespace {

ReportReply Accepted() { return {.accepted = true, .outcome = Outcome::kPending}; }

ReportReply Refused(const std::string& reason) {
  return {.accepted = false, .outcome = Outcome::kRefused, .reason = reason};
}

// A client's words for an operator's screen: short, whole characters, and none that a terminal
// would obey.
std::string Quoted(const std::string& reason) {
  constexpr size_t kMaxQuoted = 400;
  size_t end = std::min(reason.size(), kMaxQuoted);
  while (end > 0 && end < reason.size() && (reason[end] & 0xC0) == 0x80) --end;
  std::string quoted = reason.substr(0, end);
  for (size_t i = 0; i < quoted.size(); ++i) {
    const auto byte = static_cast<uint8_t>(quoted[i]);
    const bool control = byte < 0x20 || byte == 0x7F;
    const bool control_8bit =
        byte == 0xC2 && i + 1 < quoted.size() && static_cast<uint8_t>(quoted[i + 1]) < 0xA0;
    if (control) quoted[i] = ' ';
    if (control_8bit) quoted.replace(i, 2, "  ");
  }
  return quoted;
}

// The client keeps its update and tries again: nothing was decided.
absl::Status NotWritten(const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("the report could not be kept: ", std::string(status.message()),
                                   "; send it again later"));
}

}  // namespace

void JobDriver::OnReport(IncomingReport report) {
  PostSelf([report = std::move(report)](JobDriver& self) mutable {
    self.TakeReport(std::move(report));
  });
}

void JobDriver::OnLateReport(AssignmentName name, Report report, int64_t now_ms) {
  PostSelf([name = std::move(name), report = std::move(report), now_ms](JobDriver& self) {
    self.TakeLate(name, report, now_ms);
  });
}

void JobDriver::OnRepeatedReport() {
  PostSelf([](JobDriver& self) { self.ReloadTotals(); });
}

void JobDriver::TakeReport(IncomingReport incoming) {
  const uint32_t index = incoming.name.index;
  if (!InAttempt(incoming.name.key) || attempt_->facts == nullptr ||
      index >= attempt_->facts->clients.size()) {
    // The attempt ended while the report was being checked; the next try finds it in the store.
    incoming.done(absl::AbortedError("the attempt has just ended; ask again"));
    return;
  }
  const bool declared = incoming.report.status != ReportStatus::kOk;
  const bool failed = declared || !incoming.verdict.ok();
  std::string reason;
  if (declared) {
    const bool cancelled = incoming.report.status == ReportStatus::kCancelled;
    reason = absl::StrCat(cancelled ? "cancelled: " : "failed: ", incoming.report.error);
  } else if (failed) {
    reason = absl::StrCat("invalid: ", std::string(incoming.verdict.message()));
  }
  const uint64_t weight = incoming.report.weight;
  const BlobRef update{incoming.report.update.sha256, incoming.report.update.size};
  attempt_->incoming = std::move(incoming);
  if (failed) {
    Step(ClientFailed{NowMs(), index, reason});
  } else {
    Step(ReportArrived{NowMs(), index, weight, update});
  }
  if (attempt_ == nullptr || !attempt_->incoming) return;
  // A failure of a slot that is closed already: what was decided stands.
  const bool reported = attempt_->round.slot(index) == Round::Slot::kReported;
  IncomingReport left = std::move(*std::exchange(attempt_->incoming, std::nullopt));
  left.done(reported ? Accepted() : Refused("this assignment is closed already"));
}

void JobDriver::Do(const AcceptReport& action) {
  IncomingReport incoming = std::move(*std::exchange(attempt_->incoming, std::nullopt));
  const RoundKey key = attempt_->key();
  const uint32_t index = action.assignment;
  const int64_t now_ms = NowMs();
  ++attempt_->unsettled;
  std::vector<StoreWrite> batch;
  batch.emplace_back(
      AppendLog{ReportAccepted{key, index, incoming.report, incoming.clip_factor, now_ms,
                               attempt_->facts->DeviceClass(index), incoming.sketch}});
  NoteOwnEnergy(&batch);
  attempt_->accepted[index] = AcceptedReport{
      std::move(incoming.report), incoming.clip_factor, false, std::move(incoming.held), now_ms,
      std::move(incoming.sketch)};
  context_->deps.store->Write(
      std::move(batch), [weak = weak_from_this(), key, index,
                         done = std::move(incoming.done)](absl::Status written) mutable {
        const auto self = weak.lock();
        if (self == nullptr) return;
        if (written.ok()) {
          self->context_->Reply(std::move(done), Accepted());
        } else {
          self->context_->Reply(std::move(done), NotWritten(written));
        }
        self->PostSelf([key, index, written](JobDriver& driver) {
          if (!driver.InAttempt(key)) return;
          if (written.ok()) return driver.OnAccepted(index);
          driver.context_->board->StopVerifying({key, index});
          driver.AnswerRepeats(index, NotWritten(written));
          driver.Step(
              RoundError{driver.NowMs(), absl::StrCat("writing a report: ", StatusText(written))});
        });
      });
}

void JobDriver::OnAccepted(uint32_t index) {
  AcceptedReport& accepted = *attempt_->accepted[index];
  accepted.durable = true;
  ++attempt_->durable;
  const std::string id = MakeAssignmentId(attempt_->key(), index);
  const bool noted = attempt_->sent_again.contains(index);
  // Before the budget forgets what it reserved.
  if (!attempt_->key().evaluation && !noted) NoteParticipation(index, budget_.ReservedBy(id));
  budget_.OnReport(id, accepted.report, accepted.at_ms);
  context_->board->SetSlot(attempt_->key(), index, SlotState::kReported, "",
                           accepted.report.update.sha256);
  AnswerRepeats(index, Accepted());
  context_->pool->Finish(setup_->id, attempt_->facts->clients[index]);
  --attempt_->unsettled;
  Publish();
  Fold(index);
}

ClientHistory& JobDriver::HistoryOf(const std::string& client) {
  const auto [entry, is_new] = history_.try_emplace(client);
  if (is_new) {
    entry->second.client = client;
    costs_.push_back(&entry->second.cost);
  }
  return entry->second;
}

void JobDriver::NoteParticipation(uint32_t index, const Reservation* reservation) {
  const std::string& client = attempt_->facts->clients[index];
  const AcceptedReport& accepted = *attempt_->accepted[index];
  ClientHistory& history = HistoryOf(client);
  SayUnbelieved(index, AddParticipation({attempt_->key().round, attempt_->facts->DeviceClass(index),
                                         reservation, accepted.at_ms, accepted.sketch},
                                        accepted.report, &history));
}

// A fleet of liars must not fill the disk with what is said of it.
void JobDriver::SayUnbelieved(uint32_t index, const std::vector<std::string>& flags) {
  constexpr uint32_t kMaxSaid = 10;
  if (flags.empty() || ++attempt_->unbelieved > kMaxSaid) return;
  LogWarning("a report's claim is not believed",
             {{"assignment", MakeAssignmentId(attempt_->key(), index)},
              {"client", attempt_->facts->clients[index]},
              {"why", absl::StrJoin(flags, "; ")},
              {"more", attempt_->unbelieved == kMaxSaid ? "of this attempt are not logged" : ""}});
}

void JobDriver::AnswerRepeats(uint32_t index, const absl::StatusOr<ReportReply>& reply) {
  const auto [begin, end] = attempt_->repeats.equal_range(index);
  for (auto it = begin; it != end; ++it) it->second(reply);
  attempt_->repeats.erase(begin, end);
}

void JobDriver::Do(const RefuseReport& action) {
  if (!attempt_->incoming) return;
  const uint32_t index = action.assignment;
  switch (action.cause) {
    case RefusalCause::kDuplicate: {
      IncomingReport incoming = std::move(*std::exchange(attempt_->incoming, std::nullopt));
      const AcceptedReport& first = *attempt_->accepted[index];
      if (incoming.report.update.sha256 != first.report.update.sha256) {
        incoming.done(
            ReportReply{.accepted = false, .outcome = Outcome::kPending, .reason = action.reason});
      } else if (first.durable) {
        incoming.done(Accepted());
      } else {
        attempt_->repeats.emplace(index, std::move(incoming.done));
      }
      return;
    }
    case RefusalCause::kUnknown: {
      IncomingReport incoming = std::move(*std::exchange(attempt_->incoming, std::nullopt));
      incoming.done(
          ReportReply{.accepted = false, .outcome = Outcome::kUnknown, .reason = action.reason});
      return;
    }
    case RefusalCause::kLate:
      ++attempt_->late;
      WriteRefusal(index, false, action.reason, Refused(action.reason));
      return;
    case RefusalCause::kFailed:
      WriteRefusal(index, true, action.reason, Refused(action.reason));
      return;
  }
}

void JobDriver::Do(const RecordFailure& action) {
  if (!attempt_->incoming) return;
  attempt_->last_failure = Quoted(action.reason);
  ReportReply reply = Refused(action.reason);
  // What a client says of itself is accepted, its work is not.
  reply.accepted = attempt_->incoming->report.status != ReportStatus::kOk;
  WriteRefusal(action.assignment, true, action.reason, std::move(reply));
}

void JobDriver::WriteRefusal(uint32_t index, bool failed, const std::string& reason,
                             ReportReply reply) {
  IncomingReport incoming = std::move(*std::exchange(attempt_->incoming, std::nullopt));
  const RoundKey key = attempt_->key();
  attempt_->wasted.AddWasted(incoming.report);
  auto report = std::make_shared<const Report>(incoming.report);
  const int64_t now_ms = NowMs();
  std::vector<StoreWrite> batch;
  batch.emplace_back(
      AppendLog{ReportRefused{key, index, failed, reason, std::move(incoming.report), now_ms}});
  NoteOwnEnergy(&batch);
  context_->deps.store->Write(
      std::move(batch),
      [weak = weak_from_this(), key, index, failed, reason, report, now_ms,
       reply = std::move(reply), done = std::move(incoming.done)](absl::Status written) mutable {
        const auto self = weak.lock();
        if (self == nullptr) return;
        if (written.ok()) {
          self->PostSelf([key, index, failed, reason, report, now_ms](JobDriver& driver) {
            driver.budget_.OnReport(MakeAssignmentId(key, index), *report, now_ms);
            driver.context_->board->SetSlot(
                key, index, failed ? SlotState::kFailed : SlotState::kRefused, reason, Digest{});
            driver.context_->deps.spool->Remove(MakeAssignmentId(key, index));
            if (driver.InAttempt(key)) {
              driver.context_->pool->Finish(key.job, driver.attempt_->facts->clients[index]);
            }
          });
        }
        if (written.ok()) {
          self->context_->Reply(std::move(done), std::move(reply));
        } else {
          self->context_->Reply(std::move(done), NotWritten(written));
        }
      });
}

void JobDriver::TakeLate(const AssignmentName& name, const Report& report, int64_t now_ms) {
  budget_.OnReport(MakeAssignmentId(name.key, name.index), report, now_ms);
  if (InAttempt(name.key)) {
    ++attempt_->late;
    attempt_->wasted.AddWasted(report);
    return;
  }
  ReloadTotals();
}

// The store knows which joules are new: a client may report more than once.
void JobDriver::ReloadTotals() {
  auto totals = context_->deps.store->EnergyTotals(setup_->id);
  if (totals.ok()) energy_ = *std::move(totals);
  Publish();
}

void JobDriver::Fold(uint32_t index) {
  if (attempt_->key().evaluation) {
    AggregateIfReady();
    return;
  }
  if (attempt_->aggregator == nullptr) {
    auto aggregator = context_->deps.plugins.MakeAggregator(setup_->Aggregation());
    if (!aggregator.ok()) {
      Step(RoundError{NowMs(), absl::StrCat("aggregator \"", setup_->spec.aggregator.name,
                                            "\": ", StatusText(aggregator.status()))});
      return;
    }
    attempt_->aggregator = std::move(*aggregator);
    attempt_->folds = std::make_shared<FoldQueue>(context_->options.fold_threads);
  }
  ++attempt_->unsettled;
  AcceptedReport& accepted = *attempt_->accepted[index];
  const Resource& update = accepted.report.update;
  FoldEntry entry{MakeAssignmentId(attempt_->key(), index),
                  update.sha256,
                  update.size,
                  attempt_->facts->WeightInSum(index, accepted.report.weight),
                  accepted.clip_factor,
                  attempt_->facts->uploads[index].codec,
                  std::move(accepted.held)};
  if (attempt_->folds->Push(std::move(entry))) {
    PostFold(attempt_->key(), attempt_->aggregator, attempt_->folds);
  }
}

void JobDriver::PostFold(const RoundKey& key, std::shared_ptr<Aggregator> aggregator,
                         std::shared_ptr<FoldQueue> folds) {
  context_->work->Post([weak = weak_from_this(), key, setup = setup_, spool = context_->deps.spool,
                        aggregator = std::move(aggregator), folds = std::move(folds)]() mutable {
    std::vector<FoldEntry> updates = folds->Take();
    const absl::Status folded = FoldUpdates(*setup, spool, updates, aggregator.get());
    const size_t count = updates.size();
    updates.clear();
    const auto self = weak.lock();
    if (self == nullptr) return;
    // Behind other work: a pass that waits finds more to fold.
    if (folded.ok() && folds->Passed()) self->PostFold(key, aggregator, std::move(folds));
    aggregator.reset();
    self->PostSelf([key, count, folded](JobDriver& driver) {
      if (driver.InAttempt(key)) driver.OnFolded(count, folded);
    });
  });
}

void JobDriver::OnFolded(size_t updates, const absl::Status& folded) {
  attempt_->unsettled -= static_cast<uint32_t>(updates);
  if (!folded.ok()) {
    Step(RoundError{NowMs(), absl::StrCat("folding an update: ", StatusText(folded))});
    return;
  }
  AggregateIfReady();
}

void JobDriver::Do(const Aggregate&) {
  attempt_->aggregate_wanted = true;
  AggregateIfReady();
}

void JobDriver::AggregateIfReady() {
  if (!attempt_->aggregate_wanted || attempt_->unsettled > 0) return;
  attempt_->aggregate_wanted = false;
  Step(Aggregated{NowMs()});
}

}  // namespace fedwatt
