// Events and actions as lines of text.

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/hex.h"
#include "server/round/round.h"

namespace fedwatt {
namespace {

std::string Text(const BlobRef& blob) {
  if (blob.size == 0) return "-";
  return absl::StrCat(HexEncode(ByteSpan(blob.sha256).first(4)), "/", blob.size, "B");
}

std::string Text(const BeginAttempt&) { return "begin"; }
std::string Text(const CandidatesChanged& e) { return absl::StrCat("candidates ", e.count); }
std::string Text(const ClientsSelected& e) {
  return absl::StrCat("selected [", absl::StrJoin(e.clients, " "), "]");
}
std::string Text(const ClientsLeft& e) {
  return absl::StrCat("clients left; candidates ", e.count);
}
std::string Text(const AssignmentsDurable&) { return "assignments durable"; }
std::string Text(const ReportArrived& e) {
  return absl::StrCat("report ", e.assignment, " weight=", e.weight, " update=", Text(e.update));
}
std::string Text(const ClientFailed& e) {
  return absl::StrCat("failed ", e.assignment, ": ", e.reason);
}
std::string Text(const TimerFired&) { return "timer"; }
std::string Text(const Aggregated&) { return "aggregated"; }
std::string Text(const Applied& e) { return absl::StrCat("applied model=", Text(e.model)); }
std::string Text(const CommitDurable&) { return "commit durable"; }
std::string Text(const RoundError& e) { return absl::StrCat("error: ", e.reason); }
std::string Text(const OperatorStopped&) { return "operator stop"; }

const char* CauseName(AbandonCause cause) {
  switch (cause) {
    case AbandonCause::kTooFewClients:
      return "too few clients";
    case AbandonCause::kTooFewReports:
      return "too few reports";
    case AbandonCause::kError:
      return "error";
    case AbandonCause::kOperator:
      return "operator";
  }
  return "?";
}

std::string Text(const SelectClients& a) { return absl::StrCat("SelectClients ", a.count); }
std::string Text(const PersistAssignments& a) {
  return absl::StrCat("PersistAssignments [", absl::StrJoin(a.clients, " "),
                      "] deadline=", a.deadline_ms);
}
std::string Text(const SendAssignments& a) {
  return absl::StrCat("SendAssignments deadline=", a.deadline_ms);
}
std::string Text(const AcceptReport& a) {
  return absl::StrCat("AcceptReport ", a.assignment, " weight=", a.weight,
                      " update=", Text(a.update));
}
std::string Text(const RefuseReport& a) {
  return absl::StrCat("RefuseReport ", a.assignment, " ", a.reason);
}
std::string Text(const RecordFailure& a) {
  return absl::StrCat("RecordFailure ", a.assignment, ": ", a.reason);
}
std::string Text(const SetTimer& a) { return absl::StrCat("SetTimer at=", a.at_ms); }
std::string Text(const ClearTimer&) { return "ClearTimer"; }
std::string Text(const Aggregate& a) {
  return absl::StrCat("Aggregate [", absl::StrJoin(a.assignments, " "), "]");
}
std::string Text(const ApplyUpdate&) { return "ApplyUpdate"; }
std::string Text(const CommitRound& a) { return absl::StrCat("CommitRound model=", Text(a.model)); }
std::string Text(const AbandonRound& a) {
  return absl::StrCat(
      "AbandonRound (", CauseName(a.cause), ") ", a.reason, "; ",
      a.give_up ? std::string("give up") : absl::StrCat("retry at=", a.retry_at_ms));
}

}  // namespace

const char* RoundPhaseName(RoundPhase phase) {
  switch (phase) {
    case RoundPhase::kIdle:
      return "idle";
    case RoundPhase::kSelecting:
      return "selecting";
    case RoundPhase::kConfiguring:
      return "configuring";
    case RoundPhase::kReporting:
      return "reporting";
    case RoundPhase::kAggregating:
      return "aggregating";
    case RoundPhase::kApplying:
      return "applying";
    case RoundPhase::kCommitting:
      return "committing";
    case RoundPhase::kCommitted:
      return "committed";
    case RoundPhase::kAbandoned:
      return "abandoned";
  }
  return "?";
}

std::string ToString(const RoundEvent& event) {
  return std::visit([](const auto& e) { return absl::StrCat("@", e.now_ms, " ", Text(e)); }, event);
}

std::string ToString(const RoundAction& action) {
  return std::visit([](const auto& a) { return Text(a); }, action);
}

}  // namespace fedwatt
