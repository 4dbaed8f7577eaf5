#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/crypto/sha256.h"
#include "common/model/ids.h"

// The round as a pure state machine: no clock, no I/O, no lock. Events come in with `now_ms`,
// actions go out; the driver carries them out, in order, persisting before it sends. Feeding a
// round the events that its log accepted brings it back after a restart.
//
//   Idle --Begin--> Selecting --goal, or timeout with n >= min--> Configuring --durable-->
//   Reporting --goal, or deadline with n >= min--> Aggregating --> Applying --> Committed
//   any active phase --too few | error | operator--> Abandoned (the driver begins the next attempt
//   with a new Round after the back-off)
namespace fedwatt {

struct RoundLimits {
  uint32_t goal = 1;               // reports wanted
  uint32_t assign = 1;             // ceil(goal x over-selection): clients to select
  uint32_t min_reports = 1;        // <= goal
  int64_t selection_timeout_ms = 0;
  int64_t report_deadline_ms = 0;
  uint32_t max_attempts = 1;       // this attempt's number at which abandoning gives up
  int64_t backoff_initial_ms = 0;  // doubled per attempt, at most backoff_max_ms
  int64_t backoff_max_ms = 0;
};

struct BlobRef {
  Digest sha256{};
  uint64_t size = 0;
};

enum class RoundPhase {
  kIdle, kSelecting, kConfiguring, kReporting, kAggregating, kApplying, kCommitted, kAbandoned
};
const char* RoundPhaseName(RoundPhase phase);  // "selecting", ...

// ---- events

struct BeginAttempt {
  int64_t now_ms;
};
// How many eligible clients are waiting now.
struct CandidatesChanged {
  int64_t now_ms;
  uint32_t count;
};
struct ClientsSelected {  // answers SelectClients; fewer than asked is legal, none abandons
  int64_t now_ms;
  std::vector<std::string> clients;  // index in here = index of the assignment
};
struct AssignmentsDurable {
  int64_t now_ms;
};
struct ReportArrived {  // already validated by the driver
  int64_t now_ms;
  uint32_t assignment;  // index
  uint64_t weight;
  BlobRef update;
};
struct ClientFailed {  // failed, cancelled, or sent an invalid update
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
struct RoundError {
  int64_t now_ms;
  std::string reason;
};
struct OperatorStopped {
  int64_t now_ms;
};
using RoundEvent =
    std::variant<BeginAttempt, CandidatesChanged, ClientsSelected, AssignmentsDurable,
                 ReportArrived, ClientFailed, TimerFired, Aggregated, Applied, CommitDurable,
                 RoundError, OperatorStopped>;

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
struct RefuseReport {  // late, duplicate, unknown; its energy is wasted
  uint32_t assignment;
  std::string reason;
};
struct RecordFailure {
  uint32_t assignment;
  std::string reason;
};
struct SetTimer {  // replaces the one before; fires TimerFired at or after `at_ms`
  int64_t at_ms;
};
struct ClearTimer {};
struct Aggregate {  // once all accepted updates are folded, answer Aggregated
  std::vector<uint32_t> assignments;  // accepted, ascending
};
struct ApplyUpdate {};  // the strategy's step; answer Applied
struct CommitRound {
  BlobRef model;
};
struct AbandonRound {
  std::string reason;
  int64_t retry_at_ms;
  bool give_up;  // no further attempt: the job fails
};
using RoundAction =
    std::variant<SelectClients, PersistAssignments, SendAssignments, AcceptReport, RefuseReport,
                 RecordFailure, SetTimer, ClearTimer, Aggregate, ApplyUpdate, CommitRound,
                 AbandonRound>;
using RoundActions = std::vector<RoundAction>;

// Value type; not thread-safe (one sequential executor per job owns it).
class Round {
 public:
  enum class Slot { kWorking, kReported, kFailed, kRefused };

  Round(RoundKey key, RoundLimits limits);

  // Total: any event in any phase is legal; one that does not fit changes nothing but may be
  // answered (a late report is refused). Never throws, never aborts.
  RoundActions Step(const RoundEvent& event);

  const RoundKey& key() const { return key_; }
  RoundPhase phase() const { return phase_; }
  const std::vector<std::string>& clients() const { return clients_; }
  Slot slot(uint32_t assignment) const { return slots_[assignment]; }
  uint32_t reported() const { return reported_; }
  uint32_t failed() const { return failed_; }
  uint32_t refused() const { return refused_; }
  int64_t deadline_ms() const { return deadline_ms_; }

 private:
  RoundActions On(const BeginAttempt& e);
  RoundActions On(const CandidatesChanged& e);
  RoundActions On(const ClientsSelected& e);
  RoundActions On(const AssignmentsDurable& e);
  RoundActions On(const ReportArrived& e);
  RoundActions On(const ClientFailed& e);
  RoundActions On(const TimerFired& e);
  RoundActions On(const Aggregated& e);
  RoundActions On(const Applied& e);
  RoundActions On(const CommitDurable& e);
  RoundActions On(const RoundError& e);
  RoundActions On(const OperatorStopped& e);

  RoundKey key_;
  RoundLimits limits_;
  RoundPhase phase_ = RoundPhase::kIdle;
  std::vector<std::string> clients_;
  std::vector<Slot> slots_;
  uint32_t candidates_ = 0;
  uint32_t reported_ = 0;
  uint32_t failed_ = 0;
  uint32_t refused_ = 0;
  int64_t deadline_ms_ = 0;
  BlobRef model_;
};

// One line per event or action, for transcripts and `--explain` logs.
std::string ToString(const RoundEvent& event);
std::string ToString(const RoundAction& action);

}  // namespace fedwatt
