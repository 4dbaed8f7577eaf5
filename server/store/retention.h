#pragma once

#include <cstdint>

namespace fedwatt {

// How long rows that name a client are kept, in days since they were written; 0: for ever. What
// work in flight needs is kept in any case, and so are totals, rounds, models and jobs: pruning
// forgets no joule.
struct RetentionDays {
  uint32_t energy = 400;      // single samples, once booked into the totals
  uint32_t assignments = 90;  // whose outcome is final; a client that asks later hears "unknown"
  uint32_t history = 400;     // of clients that no longer report
};

}  // namespace fedwatt
