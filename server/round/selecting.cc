// From the first candidate to assignments that a restart remembers: Selecting and Configuring.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/round/round.h"
#include "server/round/saturating_time.h"

namespace fedwatt {

RoundActions Round::On(const BeginAttempt& e) {
  if (phase_ != RoundPhase::kIdle) return {};
  phase_ = RoundPhase::kSelecting;
  deadline_ms_ = AddMs(e.now_ms, limits_.selection_timeout_ms);
  return {SetTimer{deadline_ms_}};
}

RoundActions Round::On(const CandidatesChanged& e) {
  if (phase_ != RoundPhase::kSelecting || asked_) return {};
  candidates_ = e.count;
  if (candidates_ < limits_.assign) return {};
  return Ask();
}

RoundActions Round::Ask() {
  asked_ = true;
  return {ClearTimer{}, SelectClients{std::min(candidates_, limits_.assign)}};
}

RoundActions Round::On(const ClientsSelected& e) {
  // Idle: a restart replays from here, for nothing before it was durable.
  if (phase_ != RoundPhase::kSelecting && phase_ != RoundPhase::kIdle) return {};
  if (e.clients.size() > limits_.assign) {
    return Abandon(e.now_ms, AbandonCause::kError,
                   absl::StrCat("the selector chose ", e.clients.size(), " clients; ",
                                limits_.assign, " were wanted"));
  }
  if (e.clients.size() < limits_.min_reports) {
    return Abandon(e.now_ms, AbandonCause::kTooFewClients,
                   absl::StrCat("the selector chose ", e.clients.size(),
                                " clients; min_reports is ", limits_.min_reports));
  }
  RoundActions actions;
  if (TimerRuns()) actions.push_back(ClearTimer{});
  phase_ = RoundPhase::kConfiguring;
  candidates_ = 0;
  asked_ = false;
  clients_ = e.clients;
  slots_.assign(clients_.size(), Slot::kWorking);
  deadline_ms_ = AddMs(e.now_ms, limits_.report_deadline_ms);
  actions.push_back(PersistAssignments{clients_, deadline_ms_});
  return actions;
}

RoundActions Round::On(const ClientsLeft& e) {
  if (phase_ != RoundPhase::kSelecting || !asked_) return {};
  asked_ = false;
  candidates_ = e.count;
  return {SetTimer{deadline_ms_}};
}

RoundActions Round::On(const AssignmentsDurable&) {
  if (phase_ != RoundPhase::kConfiguring) return {};
  phase_ = RoundPhase::kReporting;
  return {SetTimer{deadline_ms_}, SendAssignments{deadline_ms_}};
}

}  // namespace fedwatt
