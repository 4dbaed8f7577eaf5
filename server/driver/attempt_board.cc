#include "server/driver/attempt_board.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/selectors/unbiased_weights.h"
#include "server/store/projection.h"

namespace fedwatt {
namespace {

// Ended attempts of each job that stay in memory: clients ask for the outcome of their last one or
// two assignments, older ones are in the store.
constexpr size_t kEndedKept = 3;

OutcomeNotice Notice(const Holding& holding, Outcome outcome, const std::string& reason) {
  return {holding.assignment_id, outcome, reason};
}

OutcomeNotice OfLiveSlot(const Holding& holding, SlotState state, const std::string& reason) {
  switch (state) {
    case SlotState::kWorking:
      if (holding.stage == HoldingStage::kWorking) return Notice(holding, Outcome::kPending, "");
      return Notice(holding, Outcome::kWanted, "the coordinator does not have this update");
    case SlotState::kVerifying:
    case SlotState::kReported:
      return Notice(holding, Outcome::kPending, "");
    case SlotState::kFailed:
    case SlotState::kRefused:
      break;
  }
  return Notice(holding, Outcome::kRefused, reason);
}

}  // namespace

uint64_t AttemptFacts::WeightInSum(uint32_t index, uint64_t weight) const {
  return setup->unbiased_clip ? WeighedParts(weight, Multiplier(index)) : weight;
}

std::optional<AssignmentName> ParseAssignmentName(const std::string& id) {
  auto parsed = ParseAssignmentId(id);
  if (!parsed) return std::nullopt;
  return AssignmentName{std::move(parsed->first), parsed->second};
}

void AttemptBoard::Publish(std::shared_ptr<const AttemptFacts> facts) {
  MutexLock lock(&mutex_);
  Entry& entry = entries_[facts->key];
  entry.slots.assign(facts->clients.size(), Slot{});
  for (const std::string& client : facts->clients) by_client_.emplace(client, facts->key);
  entry.facts = std::move(facts);
}

AttemptBoard::Slot* AttemptBoard::SlotAt(const AssignmentName& name) {
  const auto it = entries_.find(name.key);
  if (it == entries_.end() || name.index >= it->second.slots.size()) return nullptr;
  return &it->second.slots[name.index];
}

void AttemptBoard::SetSlot(const RoundKey& key, uint32_t index, SlotState state,
                           const std::string& reason, const Digest& update) {
  MutexLock lock(&mutex_);
  Slot* slot = SlotAt({key, index});
  if (slot == nullptr) return;
  *slot = Slot{state, reason, update};
}

void AttemptBoard::End(const RoundKey& key, Outcome outcome, const std::string& reason) {
  MutexLock lock(&mutex_);
  const auto it = entries_.find(key);
  if (it == entries_.end() || it->second.ended) return;
  it->second.ended = outcome;
  it->second.ended_reason = reason;
  // What is asked from now on are outcomes; the model's mapping would keep it in memory.
  auto slim = std::make_shared<AttemptFacts>(*it->second.facts);
  slim->base_file = nullptr;
  slim->broadcast = nullptr;
  it->second.facts = std::move(slim);
  for (const std::string& client : it->second.facts->clients) {
    const auto [begin, end] = by_client_.equal_range(client);
    for (auto entry = begin; entry != end; ++entry) {
      if (entry->second != key) continue;
      by_client_.erase(entry);
      break;
    }
  }
  std::deque<RoundKey>& ended = ended_[key.job];
  ended.push_back(key);
  if (ended.size() <= kEndedKept) return;
  entries_.erase(ended.front());
  ended.pop_front();
}

std::optional<SlotView> AttemptBoard::Find(const AssignmentName& name) const {
  MutexLock lock(&mutex_);
  const auto it = entries_.find(name.key);
  if (it == entries_.end() || name.index >= it->second.slots.size()) return std::nullopt;
  const Slot& slot = it->second.slots[name.index];
  return SlotView{
      it->second.facts,       name.index, slot.state, slot.update, slot.reason, it->second.ended,
      it->second.ended_reason};
}

bool AttemptBoard::BeginVerifying(const AssignmentName& name, const Digest& update) {
  MutexLock lock(&mutex_);
  Slot* slot = SlotAt(name);
  if (slot == nullptr) return false;
  if (slot->state == SlotState::kVerifying) return slot->update == update;
  if (slot->state != SlotState::kWorking) return false;
  *slot = Slot{SlotState::kVerifying, "", update};
  return true;
}

void AttemptBoard::StopVerifying(const AssignmentName& name) {
  MutexLock lock(&mutex_);
  Slot* slot = SlotAt(name);
  if (slot != nullptr && slot->state == SlotState::kVerifying) *slot = Slot{};
}

std::shared_ptr<const MappedFile> AttemptBoard::BlobFor(const std::string& client,
                                                        const Digest& sha256) const {
  MutexLock lock(&mutex_);
  const auto [begin, end] = by_client_.equal_range(client);
  for (auto it = begin; it != end; ++it) {
    const AttemptFacts& facts = *entries_.at(it->second).facts;
    if (facts.base.sha256 == sha256) return facts.base_file;
    if (facts.setup->bundle.sha256 == sha256) return facts.setup->bundle_file;
    if (facts.broadcast == nullptr) continue;
    if (auto payload = facts.broadcast->Find(sha256)) return payload;
  }
  return nullptr;
}

std::optional<OutcomeNotice> AttemptBoard::OutcomeOf(const std::string& client,
                                                     const Holding& holding) const {
  const auto name = ParseAssignmentName(holding.assignment_id);
  if (!name) return Notice(holding, Outcome::kUnknown, "no such assignment");
  const std::optional<SlotView> slot = Find(*name);
  if (!slot) return std::nullopt;
  if (slot->facts->clients[slot->index] != client) {
    return Notice(holding, Outcome::kUnknown, "no such assignment of yours");
  }
  if (!slot->ended) return OfLiveSlot(holding, slot->state, slot->reason);
  if (slot->state == SlotState::kFailed || slot->state == SlotState::kRefused) {
    return Notice(holding, Outcome::kRefused, slot->reason);
  }
  if (*slot->ended == Outcome::kAbandoned) {
    return Notice(holding, Outcome::kAbandoned, slot->ended_reason);
  }
  if (slot->state == SlotState::kReported) return Notice(holding, Outcome::kCommitted, "");
  // The round went on without it. Work that is not reported yet is asked for no more, but what was
  // spent on it shall be booked: the report, not the update, is still welcome.
  return Notice(holding, Outcome::kRefused,
                absl::StrCat("late: ", slot->facts->key.ToString(), " is over"));
}

}  // namespace fedwatt
