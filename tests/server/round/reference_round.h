#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/round/round.h"

// The rules of a round written down a second time, as plainly as possible: text instead of types,
// everything counted anew at every event, no thought for speed. The real one must agree with it.
namespace fedwatt {

class ReferenceRound {
 public:
  ReferenceRound(RoundKey key, RoundLimits limits) : key_(key), limits_(limits) {}

  // The actions in the short form of Summary().
  std::vector<std::string> Step(const RoundEvent& event);

  const std::string& phase() const { return phase_; }
  // "working", "reported", "failed" or "refused", by index.
  const std::map<uint32_t, std::string>& slots() const { return slots_; }

 private:
  std::vector<std::string> Selecting(const RoundEvent& event);
  std::vector<std::string> Reporting(const RoundEvent& event);
  std::vector<std::string> Late(const RoundEvent& event);
  std::vector<std::string> GiveUp(int64_t now_ms, const std::string& why, bool timer);
  std::string AggregateAll() const;
  uint32_t Count(const std::string& state) const;

  RoundKey key_;
  RoundLimits limits_;
  std::string phase_ = "idle";
  std::map<uint32_t, std::string> slots_;
  uint32_t waiting_ = 0;
  bool asked_ = false;
  int64_t deadline_ms_ = 0;
};

// Actions without their texts: "Refuse 3 late", "Abandon error 5000 again".
std::vector<std::string> Summary(const RoundActions& actions);

}  // namespace fedwatt
