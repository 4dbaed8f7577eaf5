#include "server/prediction/claim_check.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

// Empty when it is no figure.
std::optional<double> Figure(const char* name, const std::optional<double>& claimed,
                             std::vector<std::string>* flags) {
  if (!claimed) return std::nullopt;
  if (std::isfinite(*claimed) && *claimed >= 0) return claimed;
  flags->push_back(absl::StrCat(name, " = ", *claimed, ": no such figure; not counted"));
  return std::nullopt;
}

double Bounded(const char* name, double value, double least, double most, const std::string& why,
               std::vector<std::string>* flags) {
  const double bounded = std::min(std::max(value, least), most);
  if (bounded != value) {
    flags->push_back(absl::StrCat(name, " = ", value, ": ", why, "; taken for ", bounded));
  }
  return bounded;
}

}  // namespace

CheckedClaim CheckClaim(const ClaimLimits& limits, const CostClaim& claim) {
  CheckedClaim checked;
  checked.claim = claim;
  CostClaim& believed = checked.claim;
  believed.joules = Figure("joules", claim.joules, &checked.flags);
  believed.seconds = Figure("seconds", claim.seconds, &checked.flags);
  if (limits.units > 0) {
    believed.units =
        Bounded("steps", claim.units, limits.units / kMostUnits, limits.units * kMostUnits,
                absl::StrCat("about ", limits.units, " were given out"), &checked.flags);
  }
  if (believed.seconds && limits.elapsed_s) {
    believed.seconds = Bounded(
        "seconds", *believed.seconds, 0, *limits.elapsed_s + kClockSlackS,
        absl::StrCat("the assignment was given ", *limits.elapsed_s, " s ago"), &checked.flags);
  }
  if (believed.joules) {
    const double most = limits.most_joules > 0 ? std::max(limits.most_joules, limits.least_joules)
                                               : std::numeric_limits<double>::infinity();
    believed.joules = Bounded("joules", *believed.joules, limits.least_joules, most,
                              absl::StrCat("a device of its class needs ", limits.least_joules,
                                           " to ", most, " J for this work"),
                              &checked.flags);
  }
  return checked;
}

}  // namespace fedwatt
