#include "server/driver/retention.h"

#include <algorithm>

namespace fedwatt {

std::vector<ModelRef> ModelsToKeep(const std::vector<ModelRef>& models,
                                   const JobSpec::Retention& retention, uint64_t best_version) {
  std::vector<ModelRef> kept;
  const size_t last = std::max<size_t>(retention.keep_last, 1);
  for (size_t i = 0; i < models.size(); ++i) {
    const uint64_t version = models[i].version;
    const bool recent = models.size() - i <= last;
    const bool best = retention.keep_best && version == best_version;
    const bool milestone = retention.keep_every > 0 && version % retention.keep_every == 0;
    if (recent || best || milestone) kept.push_back(models[i]);
  }
  return kept;
}

}  // namespace fedwatt
