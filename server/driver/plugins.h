#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/aggregators/aggregator.h"
#include "server/selectors/selector.h"
#include "server/strategies/strategy.h"

// The plug-ins a coordinator knows, by name. A program that links the coordinator library adds its
// own before it starts one:
//
//   fedwatt::Plugins plugins = fedwatt::Plugins::Builtin();
//   plugins.selectors["mine"] = MakeMySelector;
namespace fedwatt {

struct Plugins {
  std::map<std::string, SelectorFactory> selectors;
  std::map<std::string, StrategyFactory> strategies;
  std::map<std::string, AggregatorFactory> aggregators;

  static Plugins Builtin();

  // NOT_FOUND names the key, the known names and the nearest one.
  absl::StatusOr<std::unique_ptr<Selector>> MakeSelector(const PluginSpec& spec) const;
  absl::StatusOr<std::unique_ptr<Strategy>> MakeStrategy(const PluginSpec& spec) const;
  absl::StatusOr<std::unique_ptr<Aggregator>> MakeAggregator(const AggregatorConfig& config) const;
};

}  // namespace fedwatt
