#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/prediction/cost_history.h"

// What of a report's claim is believed, by what was known when the work was given out. Whoever
// reports too little looks cheap and is chosen more often, whoever reports too much uses up a
// budget: both are bounded here, and said.
//
// A pure function of durable facts: after a restart the same is believed.
namespace fedwatt {

struct ClaimLimits {
  double units = 0;         // of work that was given out; 0: not known
  double least_joules = 0;  // of the whole device, for that work
  double most_joules = 0;   // 0: no limit
  // Since the assignment; none: not known, as after a clock was set back.
  std::optional<double> elapsed_s;
};

struct CheckedClaim {
  CostClaim claim;                 // believed; without a figure where there was none that can be
  std::vector<std::string> flags;  // what was not believed, and what it was taken for
};

// Of a report of finished work. What lies outside of the limits is put on the limit: joules, units
// (kMostUnits times more or less than were given out), seconds. What is no figure is dropped.
CheckedClaim CheckClaim(const ClaimLimits& limits, const CostClaim& claim);

// How long after the fact a clock may have been set; seconds beyond `elapsed_s` that are believed.
inline constexpr double kClockSlackS = 60;
// A client's bucket of examples is within a factor of two, the number of steps likewise.
inline constexpr double kMostUnits = 4;

}  // namespace fedwatt
