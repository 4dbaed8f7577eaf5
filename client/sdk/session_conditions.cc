#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/sdk/session_core.h"
#include "common/model/telemetry.h"

namespace fedwatt {
namespace {

// A device that charges at night is asked so often in the daytime.
constexpr int64_t kMaxWaitMs = 60'000;
// Short assignments come by the hundred a second; nothing here changes as fast.
constexpr int64_t kFreshMs = 1000;

}  // namespace

bool SessionCore::HasConditions() const {
  return deps_.conditions != nullptr || options_.rules.host != nullptr;
}

void SessionCore::ReadConditions() {
  if (deps_.conditions == nullptr) return;
  const int64_t now_us = deps_.clock->MonotonicUs();
  const int64_t fresh_us = std::min(kFreshMs, options_.condition_check_ms / 2) * 1000;
  if (device_read_us_.has_value() && now_us - *device_read_us_ < fresh_us) return;
  device_read_us_ = now_us;
  device_ = deps_.conditions->Read();
  const bool flawed = !device_.flaws.empty();
  if (flawed && !flaws_said_) EmitProblem(absl::StrJoin(device_.flaws, "; "));
  flaws_said_ = flawed;
}

void SessionCore::Say(const Verdict& verdict) {
  if (!verdict.unchecked.empty() && verdict.unchecked != unchecked_said_) {
    unchecked_said_ = verdict.unchecked;
    EmitProblem(absl::StrCat("rules of this device that cannot be checked, and bind nothing: ",
                             absl::StrJoin(unchecked_said_, "; ")));
  }
  if (verdict.broken == said_) return;
  said_ = verdict.broken;
  SessionEvent event{SessionEventKind::kConditions};
  event.text = verdict.ok() ? "met again" : absl::StrCat("not met: ", verdict.text);
  Emit(std::move(event));
}

std::string SessionCore::TellableReason(const Verdict& verdict) const {
  if (options_.telemetry_level == 0) return "the device's own conditions";
  return absl::StrCat("the device's own conditions: ", ConditionName(verdict.broken));
}

bool SessionCore::MayBegin() {
  if (!HasConditions()) return true;
  ReadConditions();
  const Verdict verdict = Judge(options_.rules, device_, Moment::kBegin);
  Say(verdict);
  if (verdict.ok()) conditions_wait_ms_ = 0;
  return verdict.ok();
}

bool SessionCore::HeldBack(Held* held) {
  if (!HasConditions()) return false;
  const KeptAssignment& record = held->record;
  if (record.stage == WorkStage::kAssigned) {
    // The app has spoken already.
    if (!cancel_reason_.empty()) return false;
    ReadConditions();
    const Verdict verdict = Judge(options_.rules, device_, Moment::kWork);
    Say(verdict);
    if (verdict.ok()) {
      if (std::exchange(paused_us_, std::nullopt).has_value()) conditions_wait_ms_ = 0;
      return false;
    }
    active_ = record.assignment.id;
    if (MayPause(*held)) {
      WaitForConditions();
      return true;
    }
    consult_ = false;  // a check-in could bring more work
    FailAndGoOn(held, ReportStatus::kCancelled, TellableReason(verdict));
    return true;
  }
  if (record.stage == WorkStage::kReady && record.report.update.size == 0) return false;
  ReadConditions();
  const Verdict verdict = JudgeNetwork(options_.rules, device_);
  if (verdict.ok()) return false;
  Say(verdict);
  if (TimeLeftMs(record.assignment, ElapsedMs(*held)) <= 0) {
    active_ = record.assignment.id;
    FailAndGoOn(held, ReportStatus::kCancelled, TellableReason(verdict));
    return true;
  }
  WaitForConditions();
  return true;
}

bool SessionCore::MayPause(const Held& held) {
  const Assignment& assignment = held.record.assignment;
  if (options_.pause_limit_ms <= 0 || options_.checkpoint_every_ms <= 0) return false;
  const int64_t now_us = deps_.clock->MonotonicUs();
  const int64_t since_us = paused_us_.value_or(now_us);
  const bool may = FileExists(store_.CheckpointPath(assignment.id)) &&
                   TimeLeftMs(assignment, ElapsedMs(held)) > 0 &&
                   now_us - since_us < options_.pause_limit_ms * 1000;
  if (may) {
    paused_us_ = since_us;
  } else {
    paused_us_.reset();
  }
  return may;
}

void SessionCore::WaitForConditions() {
  if (conditions_wait_ms_ == 0) deps_.transport->Sleep();
  conditions_wait_ms_ = std::clamp(2 * conditions_wait_ms_, options_.condition_check_ms,
                                   std::max(kMaxWaitMs, options_.condition_check_ms));
  timer_ = deps_.executor->PostAfter(
      conditions_wait_ms_, [fire = Reply(&SessionCore::OnTimer)]() mutable { fire(true); });
}

void SessionCore::StartWatch() {
  if (!HasConditions() || watch_timer_ != 0 || stopping_) return;
  watch_timer_ = deps_.executor->PostAfter(options_.condition_check_ms, [weak = weak_from_this()] {
    if (const std::shared_ptr<SessionCore> core = weak.lock()) core->Watch();
  });
}

void SessionCore::StopWatch() {
  if (watch_timer_ != 0) deps_.executor->Cancel(std::exchange(watch_timer_, 0));
}

void SessionCore::Watch() {
  watch_timer_ = 0;
  // Who waits asks when it wakes.
  if (stopping_ || timer_ != 0) return;
  StartWatch();
  ReadConditions();
  Held* const held = Active();
  if (held != nullptr && held->record.stage != WorkStage::kAssigned) {
    const Verdict network = JudgeNetwork(options_.rules, device_);
    const KeptAssignment& record = held->record;
    const bool small = record.stage == WorkStage::kReady && record.report.update.size == 0;
    if (network.ok() || !metering_ || small) return;
    Say(network);
    return deps_.transport->CancelAll();
  }
  const Verdict verdict = Judge(options_.rules, device_, Moment::kWork);
  Say(verdict);
  if (verdict.ok()) return;
  // Whether there is a checkpoint to go on from is known when the training has stopped.
  if (held != nullptr && training_ && options_.pause_limit_ms > 0) {
    pausing_ = true;
    *training_cancel_ = true;
    return;
  }
  if (held != nullptr) return CancelWork(TellableReason(verdict));
  if (NextUnfinished() != nullptr) return;  // its answer comes at once
  conditions_cut_ = true;
  deps_.transport->CancelAll();
}

DeviceTelemetry SessionCore::MakeTelemetry(const CostEstimate& costs) const {
  DeviceTelemetry told;
  told.charging = device_.charging;
  if (device_.charge.has_value()) told.charge = ChargeBucket(*device_.charge);
  if (device_.capacity_wh.has_value()) told.capacity = CapacityBucket(*device_.capacity_wh);
  if (costs.up_bytes_per_s.has_value()) told.link = LinkBucket(*costs.up_bytes_per_s);
  if (const std::optional<double> loss = costs_.mean_loss()) told.loss = LossBucket(*loss);
  return AtLevel(told, options_.telemetry_level);
}

}  // namespace fedwatt
