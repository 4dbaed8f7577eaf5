#include "server/selectors/selector.h"

namespace fedwatt {

#define FEDWATT_SELECTOR(name, make) \
  absl::StatusOr<std::unique_ptr<Selector>> make(const PluginSpec&);
#include "server/selectors/builtin.def"
#undef FEDWATT_SELECTOR

std::map<std::string, SelectorFactory> BuiltinSelectors() {
  return {
#define FEDWATT_SELECTOR(name, make) {#name, make},
#include "server/selectors/builtin.def"
#undef FEDWATT_SELECTOR
  };
}

}  // namespace fedwatt
