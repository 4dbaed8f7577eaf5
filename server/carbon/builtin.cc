#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/suggest.h"
#include "server/carbon/carbon_source.h"

namespace fedwatt {

#define FEDWATT_CARBON_SOURCE(name, make) \
  absl::StatusOr<std::unique_ptr<CarbonSource>> make(const CarbonConfig&);
#include "server/carbon/builtin.def"
#undef FEDWATT_CARBON_SOURCE

std::map<std::string, CarbonSourceFactory> BuiltinCarbonSources() {
  return {
#define FEDWATT_CARBON_SOURCE(name, make) {#name, make},
#include "server/carbon/builtin.def"
#undef FEDWATT_CARBON_SOURCE
  };
}

absl::StatusOr<std::unique_ptr<CarbonSource>> MakeCarbonSource(const CarbonConfig& config) {
  const auto sources = BuiltinCarbonSources();
  const auto found = sources.find(config.source);
  if (found != sources.end()) return found->second(config);
  std::vector<std::string> known;
  for (const auto& [name, make] : sources) known.push_back(name);
  return absl::NotFoundError(
      absl::StrCat("no carbon source \"", config.source, "\"", DidYouMean(config.source, known)));
}

}  // namespace fedwatt
