#include "server/aggregators/aggregator.h"

namespace fedwatt {

std::vector<absl::Status> Aggregator::AccumulateMany(std::span<const UpdateView* const> updates) {
  std::vector<absl::Status> statuses;
  statuses.reserve(updates.size());
  for (const UpdateView* update : updates) statuses.push_back(Accumulate(*update));
  return statuses;
}

}  // namespace fedwatt
