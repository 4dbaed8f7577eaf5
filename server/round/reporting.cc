// Who has answered, and when that is enough: Reporting.

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/round/round.h"

namespace fedwatt {

RoundActions Round::On(const ReportArrived& e) {
  const auto refuse = [&e](RefusalCause cause, const std::string& reason) -> RoundActions {
    return {RefuseReport{e.assignment, cause, reason}};
  };
  if (e.assignment >= slots_.size()) {
    return refuse(RefusalCause::kUnknown,
                  absl::StrCat("unknown: ", key_.ToString(), " has ", slots_.size(),
                               " assignments, none with index ", e.assignment));
  }
  Slot& slot = slots_[e.assignment];
  if (slot == Slot::kReported) {
    return refuse(RefusalCause::kDuplicate,
                  "duplicate: this assignment's first report was accepted");
  }
  if (slot == Slot::kFailed) {
    return refuse(RefusalCause::kFailed, "failed: this assignment failed before");
  }
  if (phase_ == RoundPhase::kConfiguring) {
    return refuse(RefusalCause::kUnknown, "unknown: this assignment was not handed out yet");
  }
  if (phase_ != RoundPhase::kReporting) {
    if (slot == Slot::kWorking) {
      slot = Slot::kRefused;
      ++refused_;
    }
    return refuse(RefusalCause::kLate,
                  absl::StrCat("late: ", key_.ToString(), " is already ", RoundPhaseName(phase_)));
  }
  slot = Slot::kReported;
  ++reported_;
  return GoOnOrWait(e.now_ms, {AcceptReport{e.assignment, e.weight, e.update}});
}

// Recorded in the later phases too: the device's joules were spent.
RoundActions Round::On(const ClientFailed& e) {
  if (e.assignment >= slots_.size() || slots_[e.assignment] != Slot::kWorking ||
      phase_ == RoundPhase::kConfiguring) {
    return {};
  }
  slots_[e.assignment] = Slot::kFailed;
  ++failed_;
  return GoOnOrWait(e.now_ms, {RecordFailure{e.assignment, e.reason}});
}

RoundActions Round::GoOnOrWait(int64_t now_ms, RoundActions actions) {
  if (phase_ != RoundPhase::kReporting) return actions;
  const uint32_t working = Working();
  RoundActions next;
  if (reported_ + working < limits_.min_reports) {
    next = Abandon(now_ms, AbandonCause::kTooFewReports,
                   absl::StrCat(failed_, " of ", clients_.size(), " clients failed; min_reports (",
                                limits_.min_reports, ") is out of reach"));
  } else if (reported_ >= limits_.goal || working == 0) {
    phase_ = RoundPhase::kAggregating;
    next = {ClearTimer{}, Aggregate{Accepted()}};
  }
  for (RoundAction& action : next) actions.push_back(std::move(action));
  return actions;
}

uint32_t Round::Working() const {
  return static_cast<uint32_t>(slots_.size()) - reported_ - failed_ - refused_;
}

std::vector<uint32_t> Round::Accepted() const {
  std::vector<uint32_t> accepted;
  accepted.reserve(reported_);
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i] == Slot::kReported) accepted.push_back(i);
  }
  return accepted;
}

}  // namespace fedwatt
