#include "simulation/compare/tipping_point.h"

#include <algorithm>
#include <vector>

namespace fedwatt {
namespace {

// A run that would have to come to 2^40 times what it had is no threat.
constexpr int kDoublings = 40;
constexpr double kPrecision = 1e-3;

}  // namespace

std::optional<TippingPoint> FindTippingPoint(
    std::span<const Pair> pairs, Side side,
    const std::function<bool(std::span<const Pair>)>& holds) {
  const auto run = [side](auto& pair) -> auto& {
    return side == Side::kOurs ? pair.ours : pair.reference;
  };
  TippingPoint point;
  for (const Pair& pair : pairs) {
    if (!run(pair).censored) continue;
    ++point.runs;
    point.reached = std::max(point.reached, run(pair).value);
  }
  const auto holds_at = [&](double value) {
    std::vector<Pair> known(pairs.begin(), pairs.end());
    for (Pair& pair : known) {
      Observation& one = run(pair);
      if (one.censored) one = {std::max(one.value, value), false};
    }
    return holds(known);
  };
  double low = point.reached;
  if (point.runs == 0 || low <= 0 || !holds_at(low)) return std::nullopt;
  double high = 2 * low;
  for (int i = 0; holds_at(high); high *= 2) {
    if (++i == kDoublings) return std::nullopt;
    low = high;
  }
  while (high - low > kPrecision * low) {
    const double middle = (low + high) / 2;
    (holds_at(middle) ? low : high) = middle;
  }
  point.at_most = low;
  return point;
}

}  // namespace fedwatt
