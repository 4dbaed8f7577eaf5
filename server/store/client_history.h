#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "server/store/store.h"

// What an accepted training report adds to what is known of its client: one rule for the store's
// tables and for the job driver's copy, so that selectors see the same before and after a restart.
namespace fedwatt {

struct Participation {
  uint64_t round = 0;
  std::string device_class;  // as the client told it when it got the assignment; empty: not known
  // What the assignment was expected to cost; null: nothing was, and claims are taken as they are.
  const Reservation* reservation = nullptr;
  int64_t now_ms = 0;                  // of the report
  std::span<const float> sketch = {};  // of the update; empty: none was made
};

// Joules, seconds and steps as far as they are believed (server/prediction/claim_check.h). Gives
// what was not.
std::vector<std::string> AddParticipation(const Participation& participation, const Report& report,
                                          ClientHistory* history);

}  // namespace fedwatt
