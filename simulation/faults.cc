#include "simulation/faults.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"

namespace fedwatt {

const char* FaultKindName(FaultKind kind) {
  switch (kind) {
    case FaultKind::kDropRequest:
      return "drop request";
    case FaultKind::kDropReply:
      return "drop reply";
    case FaultKind::kDelay:
      return "delay";
    case FaultKind::kDuplicate:
      return "duplicate";
    case FaultKind::kCut:
      return "cut";
  }
  return "unknown";
}

std::string FaultPlan::ToString() const {
  std::string text;
  for (const MessageFault& fault : messages) {
    absl::StrAppend(&text, "message ", fault.message, ": ", FaultKindName(fault.kind));
    if (fault.delay_ms > 0) absl::StrAppend(&text, " by ", fault.delay_ms, " ms");
    absl::StrAppend(&text, "\n");
  }
  for (size_t life = 0; life < kills.size(); ++life) {
    const Kill& kill = kills[life];
    if (kill.at_task > 0)
      absl::StrAppend(&text, "life ", life + 1, " ends before task ", kill.at_task);
    if (kill.before_write > 0) {
      absl::StrAppend(&text, "life ", life + 1, " ends before write ", kill.before_write);
    }
    if (kill.after_write > 0) {
      absl::StrAppend(&text, "life ", life + 1, " ends after write ", kill.after_write);
    }
    absl::StrAppend(&text, kill.at_task + kill.before_write + kill.after_write > 0 ? "\n" : "");
  }
  if (sync_delay_ms > 0) absl::StrAppend(&text, "the store syncs after ", sync_delay_ms, " ms\n");
  return text;
}

FaultPlan RandomFaults(uint64_t seed, uint64_t messages) {
  constexpr uint64_t kMostFaults = 12;
  constexpr uint64_t kMostKills = 3;
  constexpr uint64_t kKinds = 5;
  constexpr int64_t kMostDelayMs = 40'000;
  constexpr int64_t kMostTasks = 1500;
  constexpr int64_t kMostWrites = 60;
  Rng rng(RngKey{.job = "", .round = 0, .client = "", .purpose = "faults", .seed = seed});
  FaultPlan plan;
  const uint64_t faults = rng.UniformInt(kMostFaults + 1);
  for (uint64_t i = 0; i < faults; ++i) {
    MessageFault fault;
    fault.message = 1 + rng.UniformInt(messages);
    fault.kind = static_cast<FaultKind>(1 + rng.UniformInt(kKinds));
    fault.delay_ms = static_cast<int64_t>(1 + rng.UniformInt(kMostDelayMs));
    plan.messages.push_back(fault);
  }
  std::sort(plan.messages.begin(), plan.messages.end(),
            [](const MessageFault& a, const MessageFault& b) { return a.message < b.message; });
  const uint64_t kills = rng.UniformInt(kMostKills + 1);
  for (uint64_t i = 0; i < kills; ++i) {
    Kill kill;
    const uint64_t where = rng.UniformInt(3);
    if (where == 0) kill.at_task = static_cast<int>(1 + rng.UniformInt(kMostTasks));
    // The first write is the job's submission, for which its caller waits.
    if (where == 1) kill.before_write = static_cast<int>(2 + rng.UniformInt(kMostWrites));
    if (where == 2) kill.after_write = static_cast<int>(2 + rng.UniformInt(kMostWrites));
    plan.kills.push_back(kill);
  }
  if (rng.UniformInt(2) == 1) plan.sync_delay_ms = static_cast<int64_t>(1 + rng.UniformInt(50));
  return plan;
}

Faults::Faults(const FaultPlan& plan) : kills_(plan.kills) {
  for (const MessageFault& fault : plan.messages) messages_.emplace(fault.message, fault);
}

const MessageFault* Faults::Next() {
  const auto found = messages_.find(++count_);
  return found == messages_.end() ? nullptr : &found->second;
}

}  // namespace fedwatt
