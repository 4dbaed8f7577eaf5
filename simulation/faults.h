#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "simulation/mortal.h"

// What goes wrong in a simulation, as a list: so that a run with faults can be repeated, and a list
// that breaks something be shortened to what breaks it.
namespace fedwatt {

enum class FaultKind : uint32_t {
  kDropRequest = 1,  // never arrives; the device sees a broken connection
  kDropReply,        // arrives and is acted upon; the device sees a broken connection
  kDelay,            // arrives late, after what is sent later by others
  kDuplicate,        // arrives once more, later: also after newer ones of the same device
  kCut               // a transfer breaks half-way; other messages: as kDropReply
};
const char* FaultKindName(FaultKind kind);

struct MessageFault {
  uint64_t message = 0;  // which of the run's messages of devices, from 1
  FaultKind kind = FaultKind::kDropRequest;
  int64_t delay_ms = 0;
};

struct FaultPlan {
  std::vector<MessageFault> messages;  // ascending
  std::vector<Kill> kills;             // of the coordinator's first life, of its second, ...
  int64_t sync_delay_ms = 0;           // of the store; what waits is lost with the coordinator
  int64_t down_ms = 3000;              // until a killed coordinator is up again

  bool empty() const { return messages.empty() && kills.empty(); }
  // One line for each fault.
  std::string ToString() const;
};

// Some of everything, drawn from `seed`, over about `messages` messages.
FaultPlan RandomFaults(uint64_t seed, uint64_t messages);

// One run's way through a plan.
class Faults {
 public:
  explicit Faults(const FaultPlan& plan);

  // Of the next message; null: it travels well.
  const MessageFault* Next();
  Kill KillOf(size_t life) const { return life < kills_.size() ? kills_[life] : Kill{}; }
  uint64_t messages() const { return count_; }

 private:
  std::map<uint64_t, MessageFault> messages_;
  std::vector<Kill> kills_;
  uint64_t count_ = 0;
};

}  // namespace fedwatt
