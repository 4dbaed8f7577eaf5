#include "server/round/round.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/round/saturating_time.h"

namespace fedwatt {
namespace {

RoundLimits Legal(RoundLimits limits) {
  limits.goal = std::max(limits.goal, uint32_t{1});
  limits.assign = std::max(limits.assign, limits.goal);
  limits.min_reports = std::clamp(limits.min_reports, uint32_t{1}, limits.goal);
  limits.max_attempts = std::max(limits.max_attempts, uint32_t{1});
  limits.selection_timeout_ms = std::max(limits.selection_timeout_ms, int64_t{0});
  limits.report_deadline_ms = std::max(limits.report_deadline_ms, int64_t{0});
  limits.backoff_initial_ms = std::max(limits.backoff_initial_ms, int64_t{0});
  limits.backoff_max_ms = std::max(limits.backoff_max_ms, int64_t{0});
  return limits;
}

}  // namespace

Round::Round(RoundKey key, RoundLimits limits) : key_(std::move(key)), limits_(Legal(limits)) {}

RoundActions Round::Step(const RoundEvent& event) {
  return std::visit([this](const auto& e) { return On(e); }, event);
}

RoundActions Round::Resume() const {
  switch (phase_) {
    case RoundPhase::kSelecting:
      if (asked_) return {SelectClients{std::min(candidates_, limits_.assign)}};
      return {SetTimer{deadline_ms_}};
    case RoundPhase::kConfiguring:
      return {PersistAssignments{clients_, deadline_ms_}};
    case RoundPhase::kReporting:
      return {SetTimer{deadline_ms_}, SendAssignments{deadline_ms_}};
    case RoundPhase::kAggregating:
      return {Aggregate{Accepted()}};
    case RoundPhase::kApplying:
      return {ApplyUpdate{}};
    case RoundPhase::kCommitting:
      return {CommitRound{model_}};
    case RoundPhase::kIdle:
    case RoundPhase::kCommitted:
    case RoundPhase::kAbandoned:
      break;
  }
  return {};
}

bool Round::Active() const {
  return phase_ != RoundPhase::kIdle && phase_ != RoundPhase::kCommitted &&
         phase_ != RoundPhase::kAbandoned;
}

bool Round::TimerRuns() const {
  return (phase_ == RoundPhase::kSelecting && !asked_) || phase_ == RoundPhase::kReporting;
}

RoundActions Round::On(const TimerFired& e) {
  if (!TimerRuns()) return {};
  // A timer of the phase before may already have been under way when this phase set its own.
  if (e.now_ms < deadline_ms_) return {SetTimer{deadline_ms_}};
  if (phase_ == RoundPhase::kSelecting) {
    if (candidates_ >= limits_.min_reports) return Ask();
    return Abandon(e.now_ms, AbandonCause::kTooFewClients,
                   absl::StrCat("selection timed out with ", candidates_,
                                " eligible clients waiting; min_reports is ", limits_.min_reports));
  }
  if (reported_ >= limits_.min_reports) {
    phase_ = RoundPhase::kAggregating;
    return {ClearTimer{}, Aggregate{Accepted()}};
  }
  return Abandon(
      e.now_ms, AbandonCause::kTooFewReports,
      absl::StrCat("the report deadline passed with ", reported_, " reports of ", clients_.size(),
                   " clients, ", failed_, " failed; min_reports is ", limits_.min_reports));
}

RoundActions Round::On(const RoundError& e) {
  if (!Active()) return {};
  return Abandon(e.now_ms, AbandonCause::kError, e.reason);
}

RoundActions Round::On(const OperatorStopped& e) {
  if (!Active() || phase_ == RoundPhase::kCommitting) return {};
  return Abandon(e.now_ms, AbandonCause::kOperator, "stopped by the operator");
}

RoundActions Round::Abandon(int64_t now_ms, AbandonCause cause, const std::string& reason) {
  RoundActions actions;
  if (TimerRuns()) actions.push_back(ClearTimer{});
  phase_ = RoundPhase::kAbandoned;
  candidates_ = 0;
  asked_ = false;
  const bool stopped = cause == AbandonCause::kOperator;
  actions.push_back(AbandonRound{cause, reason, stopped ? now_ms : RetryAt(now_ms),
                                 !stopped && key_.attempt >= limits_.max_attempts});
  return actions;
}

int64_t Round::RetryAt(int64_t now_ms) const {
  int64_t delay_ms = std::min(limits_.backoff_initial_ms, limits_.backoff_max_ms);
  for (uint32_t i = 1; i < key_.attempt && delay_ms > 0 && delay_ms < limits_.backoff_max_ms; ++i) {
    delay_ms = delay_ms > limits_.backoff_max_ms / 2 ? limits_.backoff_max_ms : delay_ms * 2;
  }
  return AddMs(now_ms, delay_ms);
}

}  // namespace fedwatt
