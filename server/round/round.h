#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/crypto/sha256.h"
#include "common/model/ids.h"

// The round as a pure state machine: no clock, no I/O, no lock. Events come in with `now_ms`,
// actions go out; the driver carries them out, in order, persisting before it sends. Feeding a
// round the events that its log accepted brings it back after a restart.
//
//   Idle --Begin--> Selecting --enough wait, or timeout with n >= min--> Configuring --durable-->
//   Reporting --goal, or no one left, or deadline, with n >= min--> Aggregating --> Applying -->
//   Committing --durable--> Committed
//   any active phase --too few | error | operator--> Abandoned (the driver begins the next attempt
//   with a new Round after the back-off)
//
// A restart: construct the round anew, Step through what the log holds of it (ClientsSelected,
// AssignmentsDurable, the ReportArrived that were accepted, the ClientFailed that were recorded,
// each with its first `now_ms`), drop the actions that this returns, then carry out those of
// Resume(). The round is then as it was, but for refused late reports, which it need not know; and
// had the deadline ended its reporting, the timer that Resume() sets does so again.
namespace fedwatt {

// Out-of-range values are moved to the nearest legal one: goal and max_attempts are at least 1,
// min_reports is in [1, goal], assign at least goal, durations at least 0.
struct RoundLimits {
  uint32_t goal = 1;         // reports wanted
  uint32_t assign = 1;       // ceil(goal x over-selection): clients to select
  uint32_t min_reports = 1;  // <= goal
  int64_t selection_timeout_ms = 0;
  int64_t report_deadline_ms = 0;
  uint32_t max_attempts = 1;       // this attempt's number at which abandoning gives up
  int64_t backoff_initial_ms = 0;  // doubled per attempt, at most backoff_max_ms
  int64_t backoff_max_ms = 0;

  bool operator==(const RoundLimits&) const = default;
};

struct BlobRef {
  Digest sha256{};
  uint64_t size = 0;

  bool operator==(const BlobRef&) const = default;
};

enum class RoundPhase {
  kIdle,
  kSelecting,
  kConfiguring,
  kReporting,
  kAggregating,
  kApplying,
  kCommitting,
  kCommitted,
  kAbandoned
};
const char* RoundPhaseName(RoundPhase phase);  // "selecting", ...

// ---- events, in the order of a round's life. Each is small (ids, counts, hashes), whatever the
// model's size; ClientsSelected alone grows, with the number of clients.

struct BeginAttempt {
  int64_t now_ms;
};
// How many eligible clients are waiting now. Counts while Selecting only: send it after
// BeginAttempt, and whenever the number changes.
struct CandidatesChanged {
  int64_t now_ms;
  uint32_t count;
};
// Answers SelectClients. Fewer than asked is legal; fewer than min_reports, or more than `assign`,
// abandons. The report deadline counts from here.
struct ClientsSelected {
  int64_t now_ms;
  std::vector<std::string> clients;  // index in here = index of the assignment
};
// Answers SelectClients as well: so many of those whom it counted went away, or to another job,
// that fewer than min_reports could be taken. `count` wait now; selecting goes on to its timeout.
struct ClientsLeft {
  int64_t now_ms;
  uint32_t count;
};
struct AssignmentsDurable {
  int64_t now_ms;
};
// Already validated by the driver. What ends Reporting is the timer, not this event's time.
struct ReportArrived {
  int64_t now_ms;
  uint32_t assignment;  // index
  uint64_t weight;
  BlobRef update;
};
struct ClientFailed {  // failed, cancelled, or sent an invalid update; its slot is closed for good
  int64_t now_ms;
  uint32_t assignment;
  std::string reason;
};
struct TimerFired {
  int64_t now_ms;
};
struct Aggregated {
  int64_t now_ms;
};
struct Applied {
  int64_t now_ms;
  BlobRef model;
};
struct CommitDurable {
  int64_t now_ms;
};
// Selecting, folding, the strategy or the commit failed. After CommitRound it says that nothing of
// the commit is durable.
struct RoundError {
  int64_t now_ms;
  std::string reason;
};
// Abandons in every active phase but Committing: a commit may already be durable then, so it runs
// to its end first.
struct OperatorStopped {
  int64_t now_ms;
};
using RoundEvent = std::variant<BeginAttempt, CandidatesChanged, ClientsSelected, ClientsLeft,
                                AssignmentsDurable, ReportArrived, ClientFailed, TimerFired,
                                Aggregated, Applied, CommitDurable, RoundError, OperatorStopped>;

// ---- actions

struct SelectClients {
  uint32_t count;
};
struct PersistAssignments {
  std::vector<std::string> clients;
  int64_t deadline_ms;
};
struct SendAssignments {
  int64_t deadline_ms;
};
struct AcceptReport {  // make durable, acknowledge, fold
  uint32_t assignment;
  uint64_t weight;
  BlobRef update;
};
enum class RefusalCause {
  kLate,       // the round went on without it: its energy is wasted
  kDuplicate,  // its assignment's first report was accepted and stands: nothing to book
  kFailed,     // its assignment was given up before: its energy is wasted
  kUnknown     // no such assignment, or not handed out yet
};
struct RefuseReport {
  uint32_t assignment;
  RefusalCause cause;
  std::string reason;  // begins with "late: ", "duplicate: ", "failed: " or "unknown: "
};
struct RecordFailure {
  uint32_t assignment;
  std::string reason;
};
struct SetTimer {  // replaces the one before; fires TimerFired at or after `at_ms`
  int64_t at_ms;
};
struct ClearTimer {};
struct Aggregate {                    // once all accepted updates are folded, answer Aggregated
  std::vector<uint32_t> assignments;  // accepted, ascending
};
struct ApplyUpdate {};  // the strategy's step; answer Applied. Evaluations go without
struct CommitRound {    // answer CommitDurable
  BlobRef model;        // of an evaluation: empty
};
enum class AbandonCause { kTooFewClients, kTooFewReports, kError, kOperator };
struct AbandonRound {
  AbandonCause cause;
  std::string reason;
  // When the next attempt may begin. kOperator: at once, should the operator resume the job.
  int64_t retry_at_ms;
  bool give_up;  // no further attempt: the job fails. Never with kOperator
};
using RoundAction = std::variant<SelectClients, PersistAssignments, SendAssignments, AcceptReport,
                                 RefuseReport, RecordFailure, SetTimer, ClearTimer, Aggregate,
                                 ApplyUpdate, CommitRound, AbandonRound>;
using RoundActions = std::vector<RoundAction>;

// Value type; not thread-safe (one sequential executor per job owns it).
class Round {
 public:
  enum class Slot {
    kWorking,   // nothing heard yet
    kReported,  // accepted
    kFailed,
    kRefused  // its report came too late
  };

  Round(RoundKey key, RoundLimits limits);

  // Total: any event in any phase is legal; one that does not fit changes nothing but may be
  // answered (a late report is refused). Never throws, never aborts.
  RoundActions Step(const RoundEvent& event);

  // What is under way in this phase and unanswered: what a driver that has just replayed the log
  // must carry out. Empty in Idle and in the final phases.
  RoundActions Resume() const;

  const RoundKey& key() const { return key_; }
  RoundPhase phase() const { return phase_; }
  const RoundLimits& limits() const { return limits_; }  // the legal ones
  const std::vector<std::string>& clients() const { return clients_; }
  Slot slot(uint32_t assignment) const { return slots_[assignment]; }  // < clients().size()
  uint32_t reported() const { return reported_; }
  uint32_t failed() const { return failed_; }
  uint32_t refused() const { return refused_; }
  // End of selection while Selecting, of reporting afterwards.
  int64_t deadline_ms() const { return deadline_ms_; }

  bool operator==(const Round&) const = default;

 private:
  // selecting.cc
  RoundActions On(const BeginAttempt& e);
  RoundActions On(const CandidatesChanged& e);
  RoundActions On(const ClientsSelected& e);
  RoundActions On(const ClientsLeft& e);
  RoundActions On(const AssignmentsDurable& e);
  RoundActions Ask();
  // reporting.cc
  RoundActions On(const ReportArrived& e);
  RoundActions On(const ClientFailed& e);
  RoundActions GoOnOrWait(int64_t now_ms, RoundActions actions);
  uint32_t Working() const;
  std::vector<uint32_t> Accepted() const;
  // committing.cc
  RoundActions On(const Aggregated& e);
  RoundActions On(const Applied& e);
  RoundActions On(const CommitDurable& e);
  // round.cc
  RoundActions On(const TimerFired& e);
  RoundActions On(const RoundError& e);
  RoundActions On(const OperatorStopped& e);
  bool Active() const;
  bool TimerRuns() const;
  RoundActions Abandon(int64_t now_ms, AbandonCause cause, const std::string& reason);
  int64_t RetryAt(int64_t now_ms) const;

  RoundKey key_;
  RoundLimits limits_;
  RoundPhase phase_ = RoundPhase::kIdle;
  std::vector<std::string> clients_;
  std::vector<Slot> slots_;
  uint32_t candidates_ = 0;  // while Selecting
  bool asked_ = false;       // while Selecting: SelectClients is unanswered
  uint32_t reported_ = 0;
  uint32_t failed_ = 0;
  uint32_t refused_ = 0;
  int64_t deadline_ms_ = 0;
  BlobRef model_;  // from Applied on
};

// One line per event or action, for transcripts and `--explain` logs.
std::string ToString(const RoundEvent& event);
std::string ToString(const RoundAction& action);

}  // namespace fedwatt
