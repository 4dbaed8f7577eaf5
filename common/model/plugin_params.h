#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/job_spec.h"

// The parameters of a plug-in, checked against what it declares.
namespace fedwatt {

struct ParamRule {
  std::string name;
  std::optional<double> default_value;  // none: the parameter is required
  double min = 0;                       // both limits included
  double max = 0;
};

// A value for every rule. `kind` is the key in the job file ("strategy"). INVALID_ARGUMENT for an
// unknown parameter (naming the nearest known one), a missing one, and one that is out of range.
absl::StatusOr<std::map<std::string, double>> ReadParams(const std::string& kind,
                                                         const PluginSpec& spec,
                                                         std::span<const ParamRule> rules);

}  // namespace fedwatt
