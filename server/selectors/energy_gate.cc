#include "server/selectors/energy_gate.h"

#include <algorithm>

namespace fedwatt {
namespace {

constexpr double kMaxFigure = 1e9;
constexpr double kJoulesPerWh = 3600;

// False for NaN, too.
bool IsFigure(double value) { return value >= 0 && value <= kMaxFigure; }

}  // namespace

std::optional<CostPrediction> BelievableCost(const Candidate& candidate) {
  if (!candidate.cost) return std::nullopt;
  CostPrediction cost = *candidate.cost;
  if (!IsFigure(cost.joules) || !IsFigure(cost.seconds)) return std::nullopt;
  if (!IsFigure(cost.joules_sigma)) cost.joules_sigma = 0;
  if (!IsFigure(cost.seconds_sigma)) cost.seconds_sigma = 0;
  return cost;
}

std::vector<ParamRule> EnergyGate::Rules() {
  return {{"battery_floor", 0.2, 0, 1}, {"drain_watts", 0.5, 0, 1000}};
}

EnergyGate::EnergyGate(const std::map<std::string, double>& params)
    : floor_(params.at("battery_floor")), drain_watts_(params.at("drain_watts")) {}

std::optional<double> EnergyGate::AvailableJoules(const Candidate& candidate) const {
  const DeviceTelemetry& told = candidate.telemetry;
  if (told.charging.value_or(false) || !told.charge || !told.capacity) return std::nullopt;
  const double share = std::max(ChargeOf(*told.charge) - floor_, 0.0);
  return share * CapacityWhOf(*told.capacity) * kJoulesPerWh;
}

const char* EnergyGate::WhyNot(const Candidate& candidate) const {
  const DeviceTelemetry& told = candidate.telemetry;
  if (told.charging.value_or(false) || !told.charge) return nullptr;
  if (ChargeOf(*told.charge) <= floor_) return "at or below selector.params.battery_floor";
  const std::optional<double> available = AvailableJoules(candidate);
  const std::optional<CostPrediction> cost = BelievableCost(candidate);
  if (!available || !cost) return nullptr;
  const double needed = cost->joules + 2 * cost->joules_sigma + drain_watts_ * cost->seconds;
  return *available > needed ? nullptr : "without the charge that the work is predicted to take";
}

std::optional<double> EnergyGate::ShareLeft(const Candidate& candidate) const {
  if (candidate.telemetry.charging.value_or(false)) return 1;
  const std::optional<double> available = AvailableJoules(candidate);
  const std::optional<CostPrediction> cost = BelievableCost(candidate);
  if (!available || !cost) return std::nullopt;
  if (*available <= 0) return 0;
  return std::max(*available - cost->joules, 0.0) / *available;
}

}  // namespace fedwatt
