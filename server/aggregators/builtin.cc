#include "server/aggregators/aggregator.h"

namespace fedwatt {

#define FEDWATT_AGGREGATOR(name, make) \
  absl::StatusOr<std::unique_ptr<Aggregator>> make(const AggregatorConfig&);
#include "server/aggregators/builtin.def"
#undef FEDWATT_AGGREGATOR

std::map<std::string, AggregatorFactory> BuiltinAggregators() {
  return {
#define FEDWATT_AGGREGATOR(name, make) {#name, make},
#include "server/aggregators/builtin.def"
#undef FEDWATT_AGGREGATOR
  };
}

}  // namespace fedwatt
