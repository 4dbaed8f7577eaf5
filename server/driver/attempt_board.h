#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/mutex.h"
#include "common/model/fleet.h"
#include "server/driver/broadcast.h"
#include "server/driver/job_setup.h"
#include "server/round/round.h"

// What gRPC threads may know of the attempts in flight and those that ended last, without asking a
// job's executor or the store. Job drivers write here what is durable; nothing else.
namespace fedwatt {

// Immutable once published.
struct AttemptFacts {
  RoundKey key;
  std::shared_ptr<const JobSetup> setup;
  ModelRef base;  // what its clients work on: the job's model, or the broadcast model of it
  std::shared_ptr<const MappedFile> base_file;
  std::shared_ptr<const Broadcast> broadcast;  // of `base`; null: the exact model
  std::vector<std::string> clients;            // pseudonyms, by index
  std::vector<ChosenCodec> uploads;            // by index; empty: an evaluation
  std::vector<std::string> device_classes;     // by index; empty: an older program's log
  std::vector<double> multipliers;             // of weights, by index; empty: all alike
  int64_t deadline_ms = 0;

  std::string DeviceClass(uint32_t index) const {
    return index < device_classes.size() ? device_classes[index] : "";
  }
  double Multiplier(uint32_t index) const {
    return index < multipliers.size() ? multipliers[index] : 1;
  }
  // As it enters the sum: in parts (unbiased_weights.h) if the job is unbiased.
  uint64_t WeightInSum(uint32_t index, uint64_t weight) const;
};

enum class SlotState {
  kWorking,    // nothing heard yet
  kVerifying,  // a complete report is being checked or made durable
  kReported,   // accepted, durable
  kFailed,     // closed, durable
  kRefused     // came too late, durable
};

struct SlotView {
  std::shared_ptr<const AttemptFacts> facts;
  uint32_t index = 0;
  SlotState state = SlotState::kWorking;
  Digest update{};               // from kVerifying on
  std::string reason;            // of kFailed and kRefused
  std::optional<Outcome> ended;  // of the attempt: kCommitted or kAbandoned
  std::string ended_reason;
};

// The parts of an assignment id; none if it is not one.
struct AssignmentName {
  RoundKey key;
  uint32_t index = 0;
};
std::optional<AssignmentName> ParseAssignmentName(const std::string& id);

// Thread-safe.
class AttemptBoard {
 public:
  // ---- job drivers
  void Publish(std::shared_ptr<const AttemptFacts> facts);
  void SetSlot(const RoundKey& key, uint32_t index, SlotState state, const std::string& reason,
               const Digest& update);
  void End(const RoundKey& key, Outcome outcome, const std::string& reason);

  // ---- anyone. None: not in flight and not among the last; the store knows.
  std::optional<SlotView> Find(const AssignmentName& name) const;

  // kWorking -> kVerifying, atomically; also true when this very update is being verified already.
  bool BeginVerifying(const AssignmentName& name, const Digest& update);
  // Back to kWorking: the bytes were bad, the work may still be good.
  void StopVerifying(const AssignmentName& name);

  // The blob, when an assignment in flight of this client names it.
  std::shared_ptr<const MappedFile> BlobFor(const std::string& client, const Digest& sha256) const;

  // What a client is told of an assignment that it holds; kUnknown when it is another's. None: ask
  // the store.
  std::optional<OutcomeNotice> OutcomeOf(const std::string& client, const Holding& holding) const;

 private:
  struct Slot {
    SlotState state = SlotState::kWorking;
    std::string reason;
    Digest update{};
  };
  struct Entry {
    std::shared_ptr<const AttemptFacts> facts;
    std::vector<Slot> slots;
    std::optional<Outcome> ended;
    std::string ended_reason;
  };

  Slot* SlotAt(const AssignmentName& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::map<RoundKey, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::deque<RoundKey>> ended_ ABSL_GUARDED_BY(mutex_);  // by job
  // Attempts in flight by client; few clients work for two at once.
  std::unordered_multimap<std::string, RoundKey> by_client_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fedwatt
