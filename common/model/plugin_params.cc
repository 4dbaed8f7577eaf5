#include "common/model/plugin_params.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/model/field_checks.h"

namespace fedwatt {

absl::StatusOr<std::map<std::string, double>> ReadParams(const std::string& kind,
                                                         const PluginSpec& spec,
                                                         std::span<const ParamRule> rules) {
  std::vector<std::string> known;
  std::map<std::string, double> values;
  for (const ParamRule& rule : rules) {
    known.push_back(rule.name);
    const auto given = spec.params.find(rule.name);
    if (given == spec.params.end() && !rule.default_value.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(kind, " ", spec.name, " needs ", kind,
                                                     ".params.", rule.name, ", between ", rule.min,
                                                     " and ", rule.max));
    }
    const double value = given == spec.params.end() ? *rule.default_value : given->second;
    FW_RETURN_IF_ERROR(
        CheckReal(absl::StrCat(kind, ".params.", rule.name), value, rule.min, rule.max));
    values[rule.name] = value;
  }
  for (const auto& [name, value] : spec.params) {
    if (values.contains(name)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        kind, ".params.", name, " = ", value, ": ", kind, " ", spec.name,
        known.empty() ? " has no parameters" : " has no such parameter", DidYouMean(name, known)));
  }
  return values;
}

}  // namespace fedwatt
