#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/model/plugin_params.h"
#include "server/selectors/selector.h"

// Who can afford the work, by the coarse figures that devices tell. The exact gate is the device's
// own; this one spares it an assignment that it would refuse.
namespace fedwatt {

// A candidate's prediction where its figures can be true: finite, joules and seconds not negative
// and not more than 10^9, sigmas likewise (else taken for zero). Empty otherwise.
std::optional<CostPrediction> BelievableCost(const Candidate& candidate);

// Passes: on external power, or (charge - floor) capacity > E + 2 sigma + drain seconds. A figure
// that is unknown leaves its part of the rule out: without the capacity the charge must be above
// the floor; without the charge the device's own gate decides.
class EnergyGate {
 public:
  // battery_floor: share of the capacity that stays untouched, 0 to 1, default 0.2.
  // drain_watts: what the device uses besides the work, 0 to 1000, default 0.5.
  static std::vector<ParamRule> Rules();
  explicit EnergyGate(const std::map<std::string, double>& params);

  const char* WhyNot(const Candidate& candidate) const;  // as of SelectionPolicy
  // Joules above the floor. Empty: external power, or unknown.
  std::optional<double> AvailableJoules(const Candidate& candidate) const;
  // Of the available joules, what is left after the work, 0 to 1: 1 on external power. Empty:
  // unknown.
  std::optional<double> ShareLeft(const Candidate& candidate) const;

 private:
  double floor_;
  double drain_watts_;
};

}  // namespace fedwatt
