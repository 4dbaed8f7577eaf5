#include "server/selectors/unbiased_weights.h"

#include <algorithm>

namespace fedwatt {

std::vector<double> UnbiasedMultipliers(std::span<const double> inclusion, double clip) {
  if (inclusion.empty()) return {};
  const double least_counted = *std::max_element(inclusion.begin(), inclusion.end()) / clip;
  std::vector<double> clipped;
  for (const double p : inclusion) clipped.push_back(std::max(p, least_counted));
  const double rarest = *std::min_element(clipped.begin(), clipped.end());
  for (double& value : clipped) value = rarest / value;
  return clipped;
}

uint64_t WeighedParts(uint64_t weight, double multiplier) {
  const double parts = static_cast<double>(weight * kWeightParts) * multiplier;
  return std::max<uint64_t>(static_cast<uint64_t>(parts + 0.5), 1);
}

}  // namespace fedwatt
