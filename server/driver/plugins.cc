#include "server/driver/plugins.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

template <typename Plugin, typename Factory, typename Config>
absl::StatusOr<std::unique_ptr<Plugin>> Make(const std::string& kind,
                                             const std::map<std::string, Factory>& factories,
                                             const std::string& name, const Config& config) {
  const auto found = factories.find(name);
  if (found != factories.end()) return found->second(config);
  std::vector<std::string> known;
  for (const auto& entry : factories) known.push_back(entry.first);
  const std::optional<std::string> nearest = NearestName(name, known);
  return absl::NotFoundError(absl::StrCat(
      kind, ".name = \"", name, "\": this coordinator has no such ", kind,
      nearest.has_value() ? absl::StrCat("; did you mean \"", *nearest, "\"?") : std::string(),
      " (known: ", absl::StrJoin(known, ", "), ")"));
}

}  // namespace

Plugins Plugins::Builtin() {
  return {BuiltinSelectors(), BuiltinStrategies(), BuiltinAggregators()};
}

absl::StatusOr<std::unique_ptr<Selector>> Plugins::MakeSelector(const PluginSpec& spec) const {
  return Make<Selector>("selector", selectors, spec.name, spec);
}

absl::StatusOr<std::unique_ptr<Strategy>> Plugins::MakeStrategy(const PluginSpec& spec) const {
  return Make<Strategy>("strategy", strategies, spec.name, spec);
}

absl::StatusOr<std::unique_ptr<Aggregator>> Plugins::MakeAggregator(
    const AggregatorConfig& config) const {
  return Make<Aggregator>("aggregator", aggregators, config.plugin.name, config);
}

}  // namespace fedwatt
