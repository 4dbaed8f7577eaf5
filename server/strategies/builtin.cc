#include "server/strategies/strategy.h"

namespace fedwatt {

#define FEDWATT_STRATEGY(name, make) \
  absl::StatusOr<std::unique_ptr<Strategy>> make(const PluginSpec&);
#include "server/strategies/builtin.def"
#undef FEDWATT_STRATEGY

std::map<std::string, StrategyFactory> BuiltinStrategies() {
  return {
#define FEDWATT_STRATEGY(name, make) {#name, make},
#include "server/strategies/builtin.def"
#undef FEDWATT_STRATEGY
  };
}

}  // namespace fedwatt
