#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/fleet.h"
#include "common/model/job_spec.h"

// A strategy is what clients are told (ConfigurePlan) and what becomes of their mean (Apply).
namespace fedwatt {

// Used by one job's executor only.
class Strategy {
 public:
  virtual ~Strategy() = default;

  // Changes the plan of one client of one round; called once per assignment.
  virtual absl::Status ConfigurePlan(const RoundKey& key, Plan* plan) const = 0;

  // One server step: `parameters` (the round's base, in the layout's order) become the new ones.
  // `mean_delta` has the same length. Finite in, finite out, else INVALID_ARGUMENT and `parameters`
  // and the state are as they were.
  virtual absl::Status Apply(std::span<const float> mean_delta, std::span<float> parameters) = 0;

  // Server optimizer state; committed with the round, restored before the next Apply.
  virtual std::string SaveState() const { return ""; }
  virtual absl::Status LoadState(const std::string& state);  // INVALID_ARGUMENT: not ours
};

// INVALID_ARGUMENT: a parameter is unknown, missing or out of range; the message names the nearest.
using StrategyFactory = std::function<absl::StatusOr<std::unique_ptr<Strategy>>(const PluginSpec&)>;

// Those of builtin.def, by name.
std::map<std::string, StrategyFactory> BuiltinStrategies();

}  // namespace fedwatt
