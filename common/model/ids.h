#pragma once

#include <compare>
#include <cstdint>
#include <string>

// Names of things that outlive a process. All ids are printable ASCII, at most
// kMaxIdLength bytes (common/base/bounds.h).
namespace fedwatt {

// 1 to kMaxIdLength printable ASCII characters without blanks.
bool IsId(const std::string& text);

// One try at one round of one job. Evaluations of a committed model are rounds of their own
// kind, so that they run through the same state machine.
struct RoundKey {
  std::string job;
  uint64_t round = 0;    // 1-based; an evaluation carries the round whose model it evaluates
  uint32_t attempt = 1;  // 1-based
  bool evaluation = false;

  auto operator<=>(const RoundKey&) const = default;

  // "job/r3/a1" or "job/e3/a1".
  std::string ToString() const;
};

// The id under which everything about one piece of one client's work is keyed:
// "<job>/r3/a1/<index>" (index within the attempt, 0-based). A peer can guess it, so each use is
// checked against the caller's identity.
std::string MakeAssignmentId(const RoundKey& key, uint32_t index);

}  // namespace fedwatt
