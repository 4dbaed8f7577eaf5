#include "tests/server/round/reference_round.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

std::string SummaryOf(const RoundAction& action) {
  if (const auto* a = std::get_if<SelectClients>(&action)) return absl::StrCat("Select ", a->count);
  if (const auto* a = std::get_if<PersistAssignments>(&action)) {
    return absl::StrCat("Persist ", a->clients.size(), " ", a->deadline_ms);
  }
  if (std::holds_alternative<SendAssignments>(action)) return "Send";
  if (const auto* a = std::get_if<AcceptReport>(&action)) {
    return absl::StrCat("Accept ", a->assignment);
  }
  if (const auto* a = std::get_if<RefuseReport>(&action)) {
    const char* names[] = {"late", "duplicate", "failed", "unknown"};
    return absl::StrCat("Refuse ", a->assignment, " ", names[static_cast<int>(a->cause)]);
  }
  if (const auto* a = std::get_if<RecordFailure>(&action)) {
    return absl::StrCat("Failure ", a->assignment);
  }
  if (const auto* a = std::get_if<SetTimer>(&action)) return absl::StrCat("Timer ", a->at_ms);
  if (std::holds_alternative<ClearTimer>(action)) return "NoTimer";
  if (const auto* a = std::get_if<Aggregate>(&action)) {
    std::string text = "Aggregate";
    for (const uint32_t i : a->assignments) absl::StrAppend(&text, " ", i);
    return text;
  }
  if (std::holds_alternative<ApplyUpdate>(action)) return "Apply";
  if (std::holds_alternative<CommitRound>(action)) return "Commit";
  const auto& a = std::get<AbandonRound>(action);
  const char* names[] = {"clients", "reports", "error", "operator"};
  return absl::StrCat("Abandon ", names[static_cast<int>(a.cause)], " ", a.retry_at_ms,
                      a.give_up ? " give up" : " again");
}

}  // namespace

std::vector<std::string> Summary(const RoundActions& actions) {
  std::vector<std::string> lines;
  for (const RoundAction& action : actions) lines.push_back(SummaryOf(action));
  return lines;
}

uint32_t ReferenceRound::Count(const std::string& state) const {
  uint32_t n = 0;
  for (const auto& [index, slot] : slots_) n += slot == state;
  return n;
}

std::string ReferenceRound::AggregateAll() const {
  std::string text = "Aggregate";
  for (const auto& [index, slot] : slots_) {
    if (slot == "reported") absl::StrAppend(&text, " ", index);
  }
  return text;
}

std::vector<std::string> ReferenceRound::GiveUp(int64_t now_ms, const std::string& why,
                                                bool timer) {
  phase_ = "abandoned";
  double delay_ms = static_cast<double>(limits_.backoff_initial_ms);
  for (uint32_t i = 1; i < key_.attempt; ++i) delay_ms *= 2;
  delay_ms = std::min(delay_ms, static_cast<double>(limits_.backoff_max_ms));
  if (why == "operator") delay_ms = 0;
  const bool last = why != "operator" && key_.attempt >= limits_.max_attempts;
  std::vector<std::string> out;
  if (timer) out.push_back("NoTimer");
  out.push_back(absl::StrCat("Abandon ", why, " ", now_ms + static_cast<int64_t>(delay_ms),
                             last ? " give up" : " again"));
  return out;
}

std::vector<std::string> ReferenceRound::Step(const RoundEvent& event) {
  const int64_t now_ms = std::visit([](const auto& e) { return e.now_ms; }, event);
  const bool active = phase_ != "idle" && phase_ != "committed" && phase_ != "abandoned";
  const bool timer = phase_ == "reporting" || (phase_ == "selecting" && !asked_);
  if (std::holds_alternative<RoundError>(event)) {
    return active ? GiveUp(now_ms, "error", timer) : std::vector<std::string>();
  }
  if (std::holds_alternative<OperatorStopped>(event)) {
    return active && phase_ != "committing" ? GiveUp(now_ms, "operator", timer)
                                            : std::vector<std::string>();
  }
  if (phase_ == "idle" || phase_ == "selecting" || phase_ == "configuring") {
    return Selecting(event);
  }
  if (phase_ == "reporting") return Reporting(event);
  if (phase_ == "aggregating" && std::holds_alternative<Aggregated>(event)) {
    phase_ = key_.evaluation ? "committing" : "applying";
    return {key_.evaluation ? "Commit" : "Apply"};
  }
  if (phase_ == "applying" && std::holds_alternative<Applied>(event)) {
    phase_ = "committing";
    return {"Commit"};
  }
  if (phase_ == "committing" && std::holds_alternative<CommitDurable>(event)) {
    phase_ = "committed";
    return {};
  }
  return Late(event);
}

std::vector<std::string> ReferenceRound::Selecting(const RoundEvent& event) {
  if (const auto* e = std::get_if<ReportArrived>(&event)) {
    return {absl::StrCat("Refuse ", e->assignment, " unknown")};
  }
  if (const auto* e = std::get_if<BeginAttempt>(&event); e != nullptr && phase_ == "idle") {
    phase_ = "selecting";
    deadline_ms_ = e->now_ms + limits_.selection_timeout_ms;
    return {absl::StrCat("Timer ", deadline_ms_)};
  }
  const auto ask = [this]() -> std::vector<std::string> {
    asked_ = true;
    return {"NoTimer", absl::StrCat("Select ", std::min(waiting_, limits_.assign))};
  };
  if (phase_ == "selecting" && !asked_) {
    if (const auto* e = std::get_if<CandidatesChanged>(&event)) {
      waiting_ = e->count;
      if (waiting_ >= limits_.assign) return ask();
    }
    if (const auto* e = std::get_if<TimerFired>(&event)) {
      if (e->now_ms < deadline_ms_) return {absl::StrCat("Timer ", deadline_ms_)};
      if (waiting_ >= limits_.min_reports) return ask();
      return GiveUp(e->now_ms, "clients", true);
    }
  }
  if (const auto* e = std::get_if<ClientsLeft>(&event);
      e != nullptr && phase_ == "selecting" && asked_) {
    waiting_ = e->count;
    asked_ = false;
    return {absl::StrCat("Timer ", deadline_ms_)};
  }
  if (const auto* e = std::get_if<ClientsSelected>(&event);
      e != nullptr && phase_ != "configuring") {
    const bool timer = phase_ == "selecting" && !asked_;
    if (e->clients.size() > limits_.assign) return GiveUp(e->now_ms, "error", timer);
    if (e->clients.size() < limits_.min_reports) return GiveUp(e->now_ms, "clients", timer);
    for (uint32_t i = 0; i < e->clients.size(); ++i) slots_[i] = "working";
    phase_ = "configuring";
    deadline_ms_ = e->now_ms + limits_.report_deadline_ms;
    std::vector<std::string> out;
    if (timer) out.push_back("NoTimer");
    out.push_back(absl::StrCat("Persist ", e->clients.size(), " ", deadline_ms_));
    return out;
  }
  if (std::holds_alternative<AssignmentsDurable>(event) && phase_ == "configuring") {
    phase_ = "reporting";
    return {absl::StrCat("Timer ", deadline_ms_), "Send"};
  }
  return {};
}

std::vector<std::string> ReferenceRound::Reporting(const RoundEvent& event) {
  std::vector<std::string> out;
  int64_t now_ms = 0;
  if (const auto* e = std::get_if<TimerFired>(&event)) {
    if (e->now_ms < deadline_ms_) return {absl::StrCat("Timer ", deadline_ms_)};
    if (Count("reported") < limits_.min_reports) return GiveUp(e->now_ms, "reports", true);
    phase_ = "aggregating";
    return {"NoTimer", AggregateAll()};
  }
  if (const auto* e = std::get_if<ReportArrived>(&event)) {
    if (!slots_.contains(e->assignment) || slots_[e->assignment] != "working") return Late(event);
    slots_[e->assignment] = "reported";
    out.push_back(absl::StrCat("Accept ", e->assignment));
    now_ms = e->now_ms;
  } else if (const auto* f = std::get_if<ClientFailed>(&event)) {
    out = Late(event);
    now_ms = f->now_ms;
  }
  if (out.empty()) return out;
  if (Count("reported") + Count("working") < limits_.min_reports) {
    for (std::string& line : GiveUp(now_ms, "reports", true)) out.push_back(line);
  } else if (Count("reported") >= limits_.goal || Count("working") == 0) {
    phase_ = "aggregating";
    out.push_back("NoTimer");
    out.push_back(AggregateAll());
  }
  return out;
}

std::vector<std::string> ReferenceRound::Late(const RoundEvent& event) {
  if (const auto* e = std::get_if<ClientFailed>(&event)) {
    if (!slots_.contains(e->assignment) || slots_[e->assignment] != "working") return {};
    slots_[e->assignment] = "failed";
    return {absl::StrCat("Failure ", e->assignment)};
  }
  const auto* e = std::get_if<ReportArrived>(&event);
  if (e == nullptr) return {};
  const auto refuse = [e](const std::string& why) -> std::vector<std::string> {
    return {absl::StrCat("Refuse ", e->assignment, " ", why)};
  };
  if (!slots_.contains(e->assignment)) return refuse("unknown");
  std::string& slot = slots_[e->assignment];
  if (slot == "reported") return refuse("duplicate");
  if (slot == "failed") return refuse("failed");
  slot = "refused";
  return refuse("late");
}

}  // namespace fedwatt
